// The kernels of tinyalex/backend/gpu/twins.py. CuPy compiles this file at first use, once for each dtype and device.
// REAL is float or double, CELL the integer that holds the number of a window's cell (both are given as -D options).
//
// Axes: N images, C channels, H, W height and width, OC kernels, KH, KW window size, SH, SW stride, PH, PW pad,
// OH, OW output size, G groups. Images lie channels last: (N, H, W, C).
//
// Neighbouring threads (threadIdx.x) read and write neighbouring numbers, so that a warp's 32 accesses are a few long
// ones. Every thread computes the numbers that it writes, whole: nothing is added up between threads by chance of
// order, and a result is the same, bit for bit, on every run.

typedef REAL T;  // no macro of this name: CUDA's own headers have templates whose parameter it is

#define WINDOW int H, int W, int C, int OH, int OW, int KH, int KW, int SH, int SW, int PH, int PW

// A pixel for each threadIdx.y of each block; its channels are shared out along threadIdx.x.
#define FOR_EACH_CHANNEL(c, count) for (int c = threadIdx.x; c < (count); c += blockDim.x)
static __device__ long long this_pixel() { return (long long)blockIdx.x * blockDim.y + threadIdx.y; }

// All numbers of a line, shared out along threadIdx.x of all blocks.
#define FOR_EACH_NUMBER(i, count) \
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < (count); i += (long long)gridDim.x * blockDim.x)

// ------------------------------------------------------------ convolution

// columns[g, row, i, j, c] = x[n, oh*SH + i - PH, ow*SW + j - PW, g*CG + c], 0 outside the image: row is (n, oh, ow).
// A block for each row and group. What a window sees of one line of the image is one run of numbers, in x and in
// columns alike, where all channels are read (CG = C), else a run for each pixel: no divisions within a run.
extern "C" __global__ void im2col(const T* x, T* columns, int CG, WINDOW)
{
    const long long row = blockIdx.x, rows = gridDim.x;
    const int g = blockIdx.y;
    const int ow = row % OW, oh = row / OW % OH;
    const T* image = x + row / OW / OH * H * W * C + g * CG;
    T* field = columns + (g * rows + row) * KH * KW * CG;
    const int runs = CG == C ? 1 : KW, length = CG == C ? KW * C : CG;
    for (int run = threadIdx.y; run < KH * runs; run += blockDim.y) {
        const int h = oh * SH - PH + run / runs;
        const int first = (ow * SW - PW + run % runs) * C;
        FOR_EACH_CHANNEL(k, length) {
            const int at = first + k;
            const bool inside = 0 <= h && h < H && 0 <= at && at < W * C;
            field[run * length + k] = inside ? image[(long long)h * W * C + at] : 0;
        }
    }
}

// dx[n, h, w, c] = the sum of all columns[g, row, i, j, c - g*CG] that im2col read from this pixel, cell by cell.
// Each pixel gathers what is its own: were the columns to scatter, two of them would meet in one pixel.
extern "C" __global__ void col2im(const T* columns, T* dx, long long pixels, int CG, WINDOW)
{
    const long long pixel = this_pixel(), rows = pixels / H / W * OH * OW;
    if (pixel >= pixels) return;
    const int w = pixel % W, h = pixel / W % H;
    const long long n = pixel / W / H;
    FOR_EACH_CHANNEL(c, C) {
        const int g = c / CG;
        T sum = 0;
        for (int i = (h + PH) % SH; i < KH && i <= h + PH; i += SH) {
            const int oh = (h + PH - i) / SH;
            if (oh >= OH) continue;
            for (int j = (w + PW) % SW; j < KW && j <= w + PW; j += SW) {
                const int ow = (w + PW - j) / SW;
                if (ow >= OW) continue;
                const long long row = g * rows + (n * OH + oh) * OW + ow;
                sum += columns[((row * KH + i) * KW + j) * CG + c - g * CG];
            }
        }
        dx[pixel * C + c] = sum;
    }
}

// y[row, o] = sums[g, row, o - g*OCG] + b[o], and with relu the larger of that and 0 (NaN stays NaN).
extern "C" __global__ void finish(const T* sums, const T* b, T* y, long long rows, int OC, int OCG, int relu)
{
    const long long row = this_pixel();
    if (row >= rows) return;
    FOR_EACH_CHANNEL(o, OC) {
        const int g = o / OCG;
        const T sum = sums[(g * rows + row) * OCG + o - g * OCG] + b[o];
        y[row * OC + o] = relu && sum < 0 ? 0 : sum;
    }
}

// parts[p, c] = the sum of every so many-th row of dy, from row p on: dy (rows, C), parts (count, C).
extern "C" __global__ void sum_of_rows(const T* dy, T* parts, long long rows, int count, int C)
{
    const long long part = this_pixel();
    if (part >= count) return;
    FOR_EACH_CHANNEL(c, C) {
        T sum = 0;
        for (long long row = part; row < rows; row += count) sum += dy[row * C + c];
        parts[part * C + c] = sum;
    }
}

// ------------------------------------------------------------ max-pooling

// y = the largest pixel of each window, argmax = the number i*KW + j of its cell: the first of equals, a NaN always.
extern "C" __global__ void max_pool_forward(const T* x, T* y, CELL* argmax, long long places, WINDOW)
{
    const long long place = this_pixel();
    if (place >= places) return;
    const int ow = place % OW, oh = place / OW % OH;
    const T* image = x + place / OW / OH * H * W * C;
    const int top = oh * SH - PH, left = ow * SW - PW;
    const int first_i = top < 0 ? -top : 0, first_j = left < 0 ? -left : 0;
    FOR_EACH_CHANNEL(c, C) {
        T largest = image[((long long)(top + first_i) * W + left + first_j) * C + c];
        int number = first_i * KW + first_j;
        for (int i = first_i; i < KH && top + i < H; ++i)
            for (int j = first_j; j < KW && left + j < W; ++j) {
                const T seen = image[((long long)(top + i) * W + left + j) * C + c];
                if (seen > largest || seen != seen) {
                    largest = seen;
                    number = i * KW + j;
                }
            }
        y[place * C + c] = largest;
        argmax[place * C + c] = number;
    }
}

// dx[n, h, w, c] = the sum of the dy of those windows whose largest pixel it was, gathered as in col2im.
extern "C" __global__ void max_pool_backward(const T* dy, const CELL* argmax, T* dx, long long pixels, WINDOW)
{
    const long long pixel = this_pixel();
    if (pixel >= pixels) return;
    const int w = pixel % W, h = pixel / W % H;
    const long long n = pixel / W / H;
    FOR_EACH_CHANNEL(c, C) {
        T sum = 0;
        for (int i = (h + PH) % SH; i < KH && i <= h + PH; i += SH) {
            const int oh = (h + PH - i) / SH;
            if (oh >= OH) continue;
            for (int j = (w + PW) % SW; j < KW && j <= w + PW; j += SW) {
                const int ow = (w + PW - j) / SW;
                if (ow >= OW) continue;
                const long long at = ((n * OH + oh) * OW + ow) * C + c;
                if (argmax[at] == i * KW + j) sum += dy[at];
            }
        }
        dx[pixel * C + c] = sum;
    }
}

// ------------------------------------------------------------ local response normalisation

// k + alpha * the sum of the squares of the `size` maps around map c that lie in its group of CG maps.
static __device__ T scale_of(const T* maps, int c, int CG, int size, T alpha, T k)
{
    const int begin = c / CG * CG, end = begin + CG;
    T sum = 0;
    for (int j = max(begin, c - size / 2); j < min(end, c - size / 2 + size); ++j) sum += maps[j] * maps[j];
    return k + alpha * sum;
}

// scale**-beta; at beta = 0.75 by two square roots, which are far cheaper than a power.
static __device__ T negative_power(T scale, T beta)
{
    if (beta == T(0.75)) return 1 / (sqrt(scale) * sqrt(sqrt(scale)));
    return pow(scale, -beta);
}

extern "C" __global__ void lrn_forward(
    const T* x, T* y, long long pixels, int C, int CG, int size, T alpha, T beta, T k)
{
    const long long pixel = this_pixel();
    if (pixel >= pixels) return;
    const T* maps = x + pixel * C;
    FOR_EACH_CHANNEL(c, C) y[pixel * C + c] = maps[c] * negative_power(scale_of(maps, c, CG, size, alpha, k), beta);
}

// The scale of each map that sees map j is summed again from its squares, which lie in the cache nearest to the thread:
// that is faster than to write the terms to memory and read them back.
extern "C" __global__ void lrn_backward(
    const T* dy, const T* x, T* dx, long long pixels, int C, int CG, int size, T alpha, T beta, T k)
{
    const long long pixel = this_pixel();
    if (pixel >= pixels) return;
    const T *maps = x + pixel * C, *slopes = dy + pixel * C;
    FOR_EACH_CHANNEL(j, C) {
        const int begin = j / CG * CG, end = begin + CG, last = j + size / 2;
        T direct = 0, seen_by = 0;
        for (int c = max(begin, last - size + 1); c < min(end, last + 1); ++c) {
            const T scale = scale_of(maps, c, CG, size, alpha, k), power = negative_power(scale, beta);
            seen_by += slopes[c] * maps[c] * power / scale;
            if (c == j) direct = slopes[j] * power;
        }
        dx[pixel * C + j] = direct - 2 * alpha * beta * maps[j] * seen_by;
    }
}

// ------------------------------------------------------------ number by number

extern "C" __global__ void relu_forward(const T* x, T* y, long long count)
{
    FOR_EACH_NUMBER(i, count) y[i] = x[i] < 0 ? 0 : x[i];  // NaN stays NaN
}

extern "C" __global__ void relu_backward(const T* dy, const T* y, T* dx, long long count)
{
    FOR_EACH_NUMBER(i, count) dx[i] = y[i] > 0 ? dy[i] : 0;
}

extern "C" __global__ void masked(const T* x, const bool* mask, T* y, long long count, T factor)
{
    FOR_EACH_NUMBER(i, count) y[i] = mask[i] ? x[i] * factor : 0;
}

extern "C" __global__ void sgd_update(T* w, T* v, const T* g, long long count, T lr, T momentum, T decay)
{
    FOR_EACH_NUMBER(i, count) {
        v[i] = momentum * v[i] - lr * (g[i] + decay * w[i]);
        w[i] += v[i];
    }
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
