// CUDA on the processor, as far as tinyalex/backend/gpu/kernels.cu goes: the threads of a grid one after the other.
//
// Threads that meet at __syncthreads() are fibers, each with a stack of its own: they run in turn from barrier to
// barrier, in order in every second block and backwards in the others, so that a missing barrier shows.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <type_traits>
#include <ucontext.h>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __shared__ static

using std::exp;
using std::max;
using std::min;
using std::pow;
using std::sqrt;

struct Three { int x, y, z; };
static Three threadIdx, blockIdx, blockDim, gridDim;

// ------------------------------------------------------------ barriers

static constexpr size_t STACK = 1 << 16;
static ucontext_t scheduler;
static std::vector<ucontext_t> fibers;
static std::vector<char> ended;
static int running;
static void (*body)(void**);
static void** body_arguments;

static void __syncthreads() { swapcontext(&fibers[running], &scheduler); }

static void fiber()
{
    body(body_arguments);
    ended[running] = 1;
    swapcontext(&fibers[running], &scheduler);
}

// 0, or 1 where some threads of a block wait at a barrier that others never come to.
static int run_in_turn(int count, bool backwards)
{
    static std::vector<char> stacks;
    stacks.resize(count * STACK);
    fibers.resize(count);
    ended.assign(count, 0);
    for (int i = 0; i < count; ++i) {
        getcontext(&fibers[i]);
        fibers[i].uc_stack.ss_sp = &stacks[i * STACK];
        fibers[i].uc_stack.ss_size = STACK;
        fibers[i].uc_link = nullptr;
        makecontext(&fibers[i], fiber, 0);
    }
    for (int done = 0; done < count;) {
        if (done) return 1;
        for (int i = 0; i < count; ++i) {
            running = backwards ? count - 1 - i : i;
            threadIdx = {running % blockDim.x, running / blockDim.x % blockDim.y, 0};
            swapcontext(&scheduler, &fibers[running]);
        }
        done = std::count(ended.begin(), ended.end(), 1);
    }
    return 0;
}

// ------------------------------------------------------------ a kernel, its parameters, its grid

template <class A> static std::string letter()
{
    if constexpr (std::is_pointer_v<A>) {
        using E = std::remove_pointer_t<A>;
        const std::string element = letter<std::remove_const_t<E>>();
        return (std::is_const_v<E> ? "r" : "w") + element;
    }
    else if constexpr (std::is_same_v<A, bool>) return "?";
    else if constexpr (std::is_same_v<A, unsigned char>) return "B";
    else if constexpr (std::is_same_v<A, int>) return "i";
    else if constexpr (std::is_same_v<A, long long>) return "q";
    else if constexpr (std::is_same_v<A, float>) return "f";
    else { static_assert(std::is_same_v<A, double>); return "d"; }
}

template <class... A> static const char* parameters_of(void (*)(A...))
{
    static std::string letters = ((letter<A>() + " ") + ...);
    return letters.c_str();
}

template <auto kernel, class... A, size_t... I>
static void call(void (*)(A...), void** arguments, std::index_sequence<I...>)
{
    kernel(*static_cast<A*>(arguments[I])...);
}

template <auto kernel, class... A> static void call_with(void** arguments)
{
    call<kernel>(kernel, arguments, std::index_sequence_for<A...>());
}

template <auto kernel, class... A>
static int run(void (*)(A...), bool meets, const int* grid, const int* block, void** arguments)
{
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    body = call_with<kernel, A...>;
    body_arguments = arguments;
    for (int y = 0; y < gridDim.y; ++y)
        for (int x = 0; x < gridDim.x; ++x) {
            blockIdx = {x, y, 0};
            if (meets) {
                if (run_in_turn(blockDim.x * blockDim.y, x % 2)) return 1;
                continue;
            }
            for (int j = 0; j < blockDim.y; ++j)
                for (int i = 0; i < blockDim.x; ++i) {
                    threadIdx = {i, j, 0};
                    body(arguments);
                }
        }
    return 0;
}

#define KERNEL(name, meets)                                                                     \
    extern "C" const char* parameters_##name() { return parameters_of(name); }                  \
    extern "C" int run_##name(const int* grid, const int* block, void** arguments)              \
    {                                                                                           \
        return run<name>(name, meets, grid, block, arguments);                                  \
    }
