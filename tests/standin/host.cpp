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
#define __grid_constant__

using std::exp;
using std::max;
using std::min;
using std::pow;
using std::sqrt;

template <class A> static A rsqrt(A x) { return 1 / sqrt(x); }

struct Three { int x, y, z; };
static Three threadIdx, blockIdx, blockDim, gridDim;

// What a kernel declares as `extern __shared__`: a block finds it full of NaN, between two strips of another pattern.
static constexpr size_t STRIP = 1 << 12;
static std::vector<unsigned char> with_strips;

static void* shared_memory() { return with_strips.data() + STRIP; }

static void clear_shared(size_t bytes)
{
    if (!bytes && with_strips.size() == 2 * STRIP) return;
    with_strips.assign(bytes + 2 * STRIP, 0xA5);
    std::fill_n(with_strips.begin() + STRIP, bytes, 0xFF);
}

static bool strips_are_whole()
{
    if (with_strips.size() == 2 * STRIP) return true;
    const auto is_whole = [](unsigned char byte) { return byte == 0xA5; };
    return std::all_of(with_strips.begin(), with_strips.begin() + STRIP, is_whole)
        && std::all_of(with_strips.end() - STRIP, with_strips.end(), is_whole);
}

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

// 0, or 1 if some threads of a block wait at a barrier that others never reach.
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
    else if constexpr (std::is_same_v<A, double>) return "d";
    else { static_assert(std::is_class_v<A>); return "struct" + std::to_string(sizeof(A)); }
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

// 0, 1 as run_in_turn, or 2 if a block writes past the end of its shared memory.
template <auto kernel, class... A>
static int run(void (*)(A...), bool meets, const int* grid, const int* block, size_t shared_bytes, void** arguments)
{
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    body = call_with<kernel, A...>;
    body_arguments = arguments;
    for (int y = 0; y < gridDim.y; ++y)
        for (int x = 0; x < gridDim.x; ++x) {
            blockIdx = {x, y, 0};
            clear_shared(shared_bytes);
            if (meets && run_in_turn(blockDim.x * blockDim.y, x % 2)) return 1;
            for (int j = 0; j < blockDim.y && !meets; ++j)
                for (int i = 0; i < blockDim.x; ++i) {
                    threadIdx = {i, j, 0};
                    body(arguments);
                }
            if (!strips_are_whole()) return 2;
        }
    return 0;
}

#define KERNEL(name, meets)                                                                     \
    extern "C" const char* parameters_##name() { return parameters_of(name); }                  \
    extern "C" int run_##name(const int* grid, const int* block, size_t bytes, void** arguments) \
    {                                                                                           \
        return run<name>(name, meets, grid, block, bytes, arguments);                          \
    }
