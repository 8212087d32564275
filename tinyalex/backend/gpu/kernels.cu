// The kernels of the twins in this folder. CuPy compiles this file at first use, once for each dtype and device.
// REAL is float or double, CELL the integer that holds the number of a window's cell (both are given as -D options).
//
// Axes: N images, C channels, H, W height and width, OC kernels, KH, KW window size, SH, SW stride, PH, PW pad,
// OH, OW output size, G groups, CG = C/G channels of a group. Images lie channels last: (N, H, W, C).
//
// Neighbouring threads (threadIdx.x) read and write neighbouring numbers, so that the 32 accesses of a warp become a
// few long ones. Every result is computed by one thread, so it is the same, bit for bit, on every run.
//
// The images of a batch are found with 64-bit integers, the numbers of one image with 32 bits, which is several times
// faster: a block works on one line of one image, and computes where it begins only once.

typedef REAL T;  // a type, not a macro: CUDA's own headers have templates whose parameter is called T

#define WINDOW int H, int W, int C, int OH, int OW, int KH, int KW, int SH, int SW, int PH, int PW
#define WINDOW_OF(lanes) H, W, C / lanes, OH, OW, KH, KW, SH, SW, PH, PW

// L channels side by side, loaded and stored at once: 4 where the channels divide by 4, else 1.
template <int L> struct alignas(L * sizeof(T)) Lanes { T at[L]; };
template <int L> struct alignas(L * sizeof(CELL)) Cells { CELL at[L]; };

#define FOR_EACH_LANE(l) _Pragma("unroll") for (int l = 0; l < L; ++l)

// The channels of one pixel, shared out along threadIdx.x; the pixels of one line, along threadIdx.y.
#define FOR_EACH_CHANNEL(c, count) for (int c = threadIdx.x; c < (count); c += blockDim.x)
#define FOR_EACH_PIXEL(w, count) for (int w = threadIdx.y; w < (count); w += blockDim.y)

// All numbers of an array, shared out along threadIdx.x of all blocks.
#define FOR_EACH_NUMBER(i, count) \
    _Pragma("unroll 4") \
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < (count); i += (long long)gridDim.x * blockDim.x)

// The first and the last window that see pixel p of a padded line: window o sees the pixels o*stride ... + kernel - 1.
static __device__ int first_window(int p, int kernel, int stride) { return p < kernel ? 0 : (p - kernel) / stride + 1; }
static __device__ int last_window(int p, int stride, int windows) { return min(p / stride, windows - 1); }

// ------------------------------------------------------------ convolution

// patches[g, row, i, j, c] = x[n, oh*SH + i - PH, ow*SW + j - PW, g*CG + c], 0 outside the image: row is (n, oh, ow).
// A row has `length` numbers: KH*KW*CG, and zeros behind them.
// A block for each line (n, oh) of outputs and each group. A thread takes some cells of the window, and moves with
// them along the line: a load, a store and two additions for each output, and no divisions.
template <int L> static __device__ void lay_out_line(const Lanes<L>* x, Lanes<L>* patches, int length, int CG, WINDOW)
{
    const int line = blockIdx.x, g = blockIdx.y, oh = line % OH;
    const Lanes<L>* image = x + (long long)(line / OH) * H * W * C + g * CG;
    Lanes<L>* rows = patches + ((long long)g * gridDim.x + line) * OW * length;
    FOR_EACH_CHANNEL(cell, length) {
        const int i = cell / (KW * CG), j = cell / CG % KW, c = cell % CG, h = oh * SH - PH + i;
        const bool seen = i < KH && 0 <= h && h < H;
        const Lanes<L>* from = image + ((long long)h * W + j - PW) * C + c;
        Lanes<L>* to = rows + cell;
        int w = j - PW;
#pragma unroll 4
        for (int ow = 0; ow < OW; ++ow, w += SW, from += SW * C, to += length)
            *to = seen && 0 <= w && w < W ? *from : Lanes<L>{};
    }
}

extern "C" __global__ void im2col(const T* x, T* patches, int length, int CG, WINDOW)
{
    if (CG % 4)
        lay_out_line((const Lanes<1>*)x, (Lanes<1>*)patches, length, CG, WINDOW_OF(1));
    else
        lay_out_line((const Lanes<4>*)x, (Lanes<4>*)patches, length / 4, CG / 4, WINDOW_OF(4));
}

// dx[n, h, w, c] = the sum of all patches[g, row, i, j, c - g*CG] that im2col read from this pixel.
// A block for each line (n, h) of the image. Each pixel gathers its own entries: if the patches scattered theirs,
// two of them could add to the same pixel at the same time. From window to window along a line the entry of a pixel
// moves by one row forward and by the stride's cells back, so the inner loop is a load and an addition.
template <int L> static __device__ void gather_line(const Lanes<L>* patches, Lanes<L>* dx, int length, int CG, WINDOW)
{
    const int line = blockIdx.x, h = line % H, images = gridDim.x / H, n = line / H;
    const int first_oh = first_window(h + PH, KH, SH), last_oh = last_window(h + PH, SH, OH);
    FOR_EACH_PIXEL(w, W) {
        const int first_ow = first_window(w + PW, KW, SW), last_ow = last_window(w + PW, SW, OW);
        FOR_EACH_CHANNEL(c, C) {
            const int g = c / CG;
            const long long top = ((long long)g * images + n) * OH;
            Lanes<L> sum = {};
            for (int oh = first_oh; oh <= last_oh; ++oh) {
                const int cell = (h + PH - oh * SH) * KW + w + PW - first_ow * SW;
                const Lanes<L>* from = patches + ((top + oh) * OW + first_ow) * length + cell * CG + c - g * CG;
#pragma unroll 4
                for (int ow = first_ow; ow <= last_ow; ++ow, from += length - SW * CG) {
                    const Lanes<L> entry = *from;
                    FOR_EACH_LANE(l) sum.at[l] += entry.at[l];
                }
            }
            dx[((long long)line * W + w) * C + c] = sum;
        }
    }
}

extern "C" __global__ void col2im(const T* patches, T* dx, int length, int CG, WINDOW)
{
    if (CG % 4)
        gather_line((const Lanes<1>*)patches, (Lanes<1>*)dx, length, CG, WINDOW_OF(1));
    else
        gather_line((const Lanes<4>*)patches, (Lanes<4>*)dx, length / 4, CG / 4, WINDOW_OF(4));
}

// y[row, c] += b[c], in place; with relu then the larger of that and 0 (NaN stays NaN). A thread keeps its part of b.
template <int L> static __device__ void add_to_rows(Lanes<L>* y, const T* b, long long rows, int C, int relu)
{
    FOR_EACH_CHANNEL(c, C) {
        T bias[L];
        FOR_EACH_LANE(l) bias[l] = b[c * L + l];
        Lanes<L>* at = y + ((long long)blockIdx.x * blockDim.y + threadIdx.y) * C + c;
        const long long step = (long long)gridDim.x * blockDim.y * C;
        for (; at < y + rows * C; at += step) {
            Lanes<L> sum = *at;
            FOR_EACH_LANE(l) sum.at[l] += bias[l];
            FOR_EACH_LANE(l) sum.at[l] = relu && sum.at[l] < 0 ? 0 : sum.at[l];
            *at = sum;
        }
    }
}

extern "C" __global__ void add_bias(T* y, const T* b, long long rows, int C, int relu)
{
    if (C % 4)
        add_to_rows((Lanes<1>*)y, b, rows, C, relu);
    else
        add_to_rows((Lanes<4>*)y, b, rows, C / 4, relu);
}

// parts[p, c] = the sum of every count-th row of dy, from row p on: dy (rows, C), parts (count, C).
extern "C" __global__ void sum_of_rows(const T* dy, T* parts, long long rows, int count, int C)
{
    const int part = blockIdx.x * blockDim.y + threadIdx.y;
    if (part >= count) return;
    FOR_EACH_CHANNEL(c, C) {
        T sum = 0;
#pragma unroll 8
        for (long long row = part; row < rows; row += count) sum += dy[row * C + c];
        parts[(long long)part * C + c] = sum;
    }
}

// ------------------------------------------------------------ max-pooling

// y = the largest pixel of each window, argmax = the number i*KW + j of its cell: the first of equals, a NaN always.
// A block for each line (n, oh) of outputs.
template <int L> static __device__ void pool_line(const Lanes<L>* x, Lanes<L>* y, Cells<L>* argmax, WINDOW)
{
    const int line = blockIdx.x, top = line % OH * SH - PH;
    const Lanes<L>* image = x + (long long)(line / OH) * H * W * C;
    const int first_i = max(0, -top), end_i = min(KH, H - top);  // of the cells that lie in the image
    FOR_EACH_PIXEL(ow, OW) {
        const int left = ow * SW - PW, first_j = max(0, -left), end_j = min(KW, W - left);
        FOR_EACH_CHANNEL(c, C) {
            Lanes<L> largest = image[((top + first_i) * W + left + first_j) * C + c];
            int number[L];
            FOR_EACH_LANE(l) number[l] = first_i * KW + first_j;
            for (int i = first_i; i < end_i; ++i) {
                const Lanes<L>* from = image + ((top + i) * W + left + first_j) * C + c;
                for (int j = first_j; j < end_j; ++j, from += C) {
                    const Lanes<L> seen = *from;
                    FOR_EACH_LANE(l) if (seen.at[l] > largest.at[l] || seen.at[l] != seen.at[l]) {
                        largest.at[l] = seen.at[l];
                        number[l] = i * KW + j;
                    }
                }
            }
            Cells<L> cells;
            FOR_EACH_LANE(l) cells.at[l] = number[l];
            const long long place = ((long long)line * OW + ow) * C + c;
            y[place] = largest;
            argmax[place] = cells;
        }
    }
}

extern "C" __global__ void max_pool_forward(const T* x, T* y, CELL* argmax, WINDOW)
{
    if (C % 4)
        pool_line((const Lanes<1>*)x, (Lanes<1>*)y, (Cells<1>*)argmax, WINDOW_OF(1));
    else
        pool_line((const Lanes<4>*)x, (Lanes<4>*)y, (Cells<4>*)argmax, WINDOW_OF(4));
}

// dx[n, h, w, c] = the sum of the dy of those windows in which this pixel was the largest, gathered as in col2im.
// A block for each line (n, h) of the image.
template <int L> static __device__ void spread_line(const Lanes<L>* dy, const Cells<L>* argmax, Lanes<L>* dx, WINDOW)
{
    const int line = blockIdx.x, h = line % H;
    const long long image = (long long)(line / H) * OH * OW * C;
    const int first_oh = first_window(h + PH, KH, SH), last_oh = last_window(h + PH, SH, OH);
    FOR_EACH_PIXEL(w, W) {
        const int first_ow = first_window(w + PW, KW, SW), last_ow = last_window(w + PW, SW, OW);
        FOR_EACH_CHANNEL(c, C) {
            Lanes<L> sum = {};
            for (int oh = first_oh; oh <= last_oh; ++oh)
                for (int ow = first_ow; ow <= last_ow; ++ow) {
                    const int number = (h + PH - oh * SH) * KW + w + PW - ow * SW;  // of this pixel in that window
                    const int place = (oh * OW + ow) * C + c;
                    const Lanes<L> slope = (dy + image)[place];
                    const Cells<L> cells = (argmax + image)[place];
                    FOR_EACH_LANE(l) if (cells.at[l] == number) sum.at[l] += slope.at[l];
                }
            dx[((long long)line * W + w) * C + c] = sum;
        }
    }
}

extern "C" __global__ void max_pool_backward(const T* dy, const CELL* argmax, T* dx, WINDOW)
{
    if (C % 4)
        spread_line((const Lanes<1>*)dy, (const Cells<1>*)argmax, (Lanes<1>*)dx, WINDOW_OF(1));
    else
        spread_line((const Lanes<4>*)dy, (const Cells<4>*)argmax, (Lanes<4>*)dx, WINDOW_OF(4));
}

// ------------------------------------------------------------ average pooling

// How many cells a window that begins at pixel `first` has in the padded line of `size` pixels.
static __device__ int cells_inside(int first, int kernel, int size, int pad) { return min(kernel, size + pad - first); }

// y = the sum of the pixels of each window, divided by the number of its cells. A block for each line (n, oh) of outputs.
template <int L> static __device__ void average_line(const Lanes<L>* x, Lanes<L>* y, WINDOW)
{
    const int line = blockIdx.x, top = line % OH * SH - PH, rows = cells_inside(top, KH, H, PH);
    const Lanes<L>* image = x + (long long)(line / OH) * H * W * C;
    const int first_i = max(0, -top), end_i = min(KH, H - top);  // of the cells that lie in the image
    FOR_EACH_PIXEL(ow, OW) {
        const int left = ow * SW - PW, first_j = max(0, -left), end_j = min(KW, W - left);
        const T cells = rows * cells_inside(left, KW, W, PW);
        FOR_EACH_CHANNEL(c, C) {
            Lanes<L> sum = {};
            for (int i = first_i; i < end_i; ++i) {
                const Lanes<L>* from = image + ((top + i) * W + left + first_j) * C + c;
                for (int j = first_j; j < end_j; ++j, from += C) {
                    const Lanes<L> seen = *from;
                    FOR_EACH_LANE(l) sum.at[l] += seen.at[l];
                }
            }
            FOR_EACH_LANE(l) sum.at[l] /= cells;
            y[((long long)line * OW + ow) * C + c] = sum;
        }
    }
}

extern "C" __global__ void average_pool_forward(const T* x, T* y, WINDOW)
{
    if (C % 4)
        average_line((const Lanes<1>*)x, (Lanes<1>*)y, WINDOW_OF(1));
    else
        average_line((const Lanes<4>*)x, (Lanes<4>*)y, WINDOW_OF(4));
}

// dx[n, h, w, c] = the sum of dy / cells of those windows that see this pixel, gathered as in col2im.
// A block for each line (n, h) of the image.
template <int L> static __device__ void share_out_line(const Lanes<L>* dy, Lanes<L>* dx, WINDOW)
{
    const int line = blockIdx.x, h = line % H;
    const Lanes<L>* image = dy + (long long)(line / H) * OH * OW * C;
    const int first_oh = first_window(h + PH, KH, SH), last_oh = last_window(h + PH, SH, OH);
    FOR_EACH_PIXEL(w, W) {
        const int first_ow = first_window(w + PW, KW, SW), last_ow = last_window(w + PW, SW, OW);
        FOR_EACH_CHANNEL(c, C) {
            Lanes<L> sum = {};
            for (int oh = first_oh; oh <= last_oh; ++oh) {
                const int rows = cells_inside(oh * SH - PH, KH, H, PH);
                for (int ow = first_ow; ow <= last_ow; ++ow) {
                    const T cells = rows * cells_inside(ow * SW - PW, KW, W, PW);
                    const Lanes<L> slope = image[(oh * OW + ow) * C + c];
                    FOR_EACH_LANE(l) sum.at[l] += slope.at[l] / cells;
                }
            }
            dx[((long long)line * W + w) * C + c] = sum;
        }
    }
}

extern "C" __global__ void average_pool_backward(const T* dy, T* dx, WINDOW)
{
    if (C % 4)
        share_out_line((const Lanes<1>*)dy, (Lanes<1>*)dx, WINDOW_OF(1));
    else
        share_out_line((const Lanes<4>*)dy, (Lanes<4>*)dx, WINDOW_OF(4));
}

// ------------------------------------------------------------ local response normalisation

// The maps of one group at one pixel lie side by side: a run of CG numbers. x and y are runs and nothing else.
// A block takes the next `most` runs, and keeps what their maps share in shared memory: each run in a row of slots,
// with zeros before and behind it (size - 1 in all), so that no window has to be cut off. A thread stays with its map,
// and goes from run to run.

extern __shared__ T shared[];

#define FOR_EACH_RUN(run) for (int run = threadIdx.y; run < here; run += blockDim.y)

static __device__ int runs_here(long long runs, int most) { return min((long long)most, runs - (long long)blockIdx.x * most); }

// Zeros in the rows of slots, around the CG slots that begin `before` slots into each row; a thread for each zero.
static __device__ void fill_edges(T* rows, int here, int CG, int size, int before)
{
    const int edge = size - 1;
    for (int i = threadIdx.y * blockDim.x + threadIdx.x; i < here * edge; i += blockDim.x * blockDim.y) {
        const int run = i / edge, s = i - run * edge;
        rows[run * (CG + edge) + (s < before ? s : CG + s)] = 0;
    }
}

// The squares of the maps of all runs, in their slots.
static __device__ void fill_squares(T* rows, const T* x, int here, int CG, int size, int before)
{
    FOR_EACH_CHANNEL(c, CG)
        FOR_EACH_RUN(run) {
            const T map = x[run * CG + c];
            rows[run * (CG + size - 1) + before + c] = map * map;
        }
}

// The sum of `size` slots from `first` on. Of the paper's five without a loop.
static __device__ T sum_of(const T* first, int size)
{
    if (size == 5) return first[0] + first[1] + first[2] + first[3] + first[4];
    T sum = 0;
    for (int s = 0; s < size; ++s) sum += first[s];
    return sum;
}

// power = scale**-beta, inverse = 1/scale; for beta = 0.75 by two roots, which are far cheaper than a power.
static __device__ void powers(T scale, T beta, T& power, T& inverse)
{
    if (beta == T(0.75)) {
        const T root = rsqrt(scale);
        power = root * sqrt(root);
        inverse = root * root;
    }
    else {
        power = pow(scale, -beta);
        inverse = 1 / scale;
    }
}

extern "C" __global__ void lrn_forward(
    const T* x, T* y, long long runs, int most, int CG, int size, T alpha, T beta, T k)
{
    const int here = runs_here(runs, most), width = CG + size - 1, before = size / 2;
    x += (long long)blockIdx.x * most * CG, y += (long long)blockIdx.x * most * CG;
    fill_edges(shared, here, CG, size, before);
    fill_squares(shared, x, here, CG, size, before);
    __syncthreads();
    FOR_EACH_CHANNEL(c, CG)
        FOR_EACH_RUN(run) {
            T power, inverse;
            powers(k + alpha * sum_of(shared + run * width + c, size), beta, power, inverse);
            y[run * CG + c] = x[run * CG + c] * power;
        }
}

// dx[j] = dy[j] power[j] - 2 alpha beta x[j] * the sum of terms[c] over the maps c that see j, where
// power = scale**-beta, terms = dy x power / scale. Each scale, power and term is computed once, by the thread of its
// map, and read by the others from shared memory. c sees j where c - size/2 <= j < c - size/2 + size: so the terms lie
// behind size - 1 - size/2 zeros, and the first slot of j's window is slot j.
extern "C" __global__ void lrn_backward(
    const T* dy, const T* x, T* dx, long long runs, int most, int CG, int size, T alpha, T beta, T k)
{
    const int here = runs_here(runs, most), width = CG + size - 1, before = size / 2, mirrored = size - 1 - before;
    dy += (long long)blockIdx.x * most * CG, x += (long long)blockIdx.x * most * CG;
    dx += (long long)blockIdx.x * most * CG;
    T *squares = shared, *terms = squares + most * width, *direct = terms + most * width;
    fill_edges(squares, here, CG, size, before);
    fill_edges(terms, here, CG, size, mirrored);
    fill_squares(squares, x, here, CG, size, before);
    __syncthreads();
    FOR_EACH_CHANNEL(c, CG)
        FOR_EACH_RUN(run) {
            const int at = run * CG + c;
            T power, inverse;
            powers(k + alpha * sum_of(squares + run * width + c, size), beta, power, inverse);
            direct[at] = dy[at] * power;
            terms[run * width + mirrored + c] = direct[at] * x[at] * inverse;
        }
    __syncthreads();
    const T factor = 2 * alpha * beta;
    FOR_EACH_CHANNEL(j, CG)
        FOR_EACH_RUN(run) {
            const int at = run * CG + j;
            dx[at] = direct[at] - factor * x[at] * sum_of(terms + run * width + j, size);
        }
}

// ------------------------------------------------------------ number by number

extern "C" __global__ void relu_forward(const T* __restrict__ x, T* __restrict__ y, long long count)
{
    FOR_EACH_NUMBER(i, count) y[i] = x[i] < 0 ? 0 : x[i];  // NaN stays NaN
}

extern "C" __global__ void relu_backward(
    const T* __restrict__ dy, const T* __restrict__ y, T* __restrict__ dx, long long count)
{
    FOR_EACH_NUMBER(i, count) dx[i] = y[i] > 0 ? dy[i] : 0;
}

extern "C" __global__ void masked(
    const T* __restrict__ x, const bool* __restrict__ mask, T* __restrict__ y, long long count, T factor)
{
    FOR_EACH_NUMBER(i, count) y[i] = mask[i] ? x[i] * factor : 0;
}

// ------------------------------------------------------------ the update

// A parameter, its velocity and its gradient: `count` numbers each.
struct Parameter { T *w, *v; const T* g; long long count; T lr, decay; };
struct Parameters { Parameter all[PARAMETERS]; };

static __device__ void update(
    T* __restrict__ w, T* __restrict__ v, const T* __restrict__ g, long long count, T lr, T momentum, T decay)
{
    FOR_EACH_NUMBER(i, count) {
        v[i] = momentum * v[i] - lr * (g[i] + decay * w[i]);
        w[i] += v[i];
    }
}

extern "C" __global__ void sgd_update(T* w, T* v, const T* g, long long count, T lr, T momentum, T decay)
{
    update(w, v, g, count, lr, momentum, decay);
}

// A row of blocks (blockIdx.y) for each parameter.
extern "C" __global__ void sgd_update_all(const __grid_constant__ Parameters parameters, T momentum)
{
    const Parameter& one = parameters.all[blockIdx.y];
    update(one.w, one.v, one.g, one.count, one.lr, momentum, one.decay);
}

// ------------------------------------------------------------ softmax

#define ROW_THREADS 256  // of a block, which has a row to itself; a power of two

// p[n, k] = exp(logits[n, k] - largest) / the sum of these. The largest and the sum are found in shared memory: half of
// the threads take in what the other half has found, until one is left.
extern "C" __global__ void softmax(const T* logits, T* p, int K)
{
    __shared__ T found[ROW_THREADS];
    const T* row = logits + (long long)blockIdx.x * K;
    T* out = p + (long long)blockIdx.x * K;
    const int me = threadIdx.x;

    T largest = row[0];
    FOR_EACH_CHANNEL(k, K) largest = row[k] > largest ? row[k] : largest;
    found[me] = largest;
    for (int half = ROW_THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (me < half && found[me + half] > found[me]) found[me] = found[me + half];
    }
    __syncthreads();
    largest = found[0];
    __syncthreads();  // all have read it: found is used again

    T sum = 0;
    FOR_EACH_CHANNEL(k, K) sum += out[k] = exp(row[k] - largest);
    found[me] = sum;
    for (int half = ROW_THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (me < half) found[me] += found[me + half];
    }
    __syncthreads();
    FOR_EACH_CHANNEL(k, K) out[k] /= found[0];
}

// ------------------------------------------------------------ images

// y[k, i, j, c] = (images[n, row, column, c] - mean[row, column, c] + noise[k, c]) / scale, where n = k / views,
// row = tops[k] + i, column = lefts[k] + (mirrored[k] ? crop-1-j : j). A block for each line (k, i).
extern "C" __global__ void augment(
    const T* mean, const unsigned char* images, const int* tops, const int* lefts, const bool* mirrored,
    const T* noise, T* y, int views, int S, int crop, T scale)
{
    const int k = blockIdx.x / crop, i = blockIdx.x % crop, row = tops[k] + i;
    const bool backwards = mirrored[k];
    const int first = 3 * (row * S + lefts[k]);  // the number of the line's first byte in its image
    const unsigned char* image = images + (long long)(k / views) * S * S * 3;
    T* line = y + (long long)blockIdx.x * crop * 3;
    FOR_EACH_CHANNEL(t, 3 * crop) {
        const int j = t / 3, c = t % 3, at = first + 3 * (backwards ? crop - 1 - j : j) + c;
        line[t] = (image[at] - mean[at] + noise[3 * k + c]) / scale;
    }
}
