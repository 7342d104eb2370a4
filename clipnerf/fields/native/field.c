/* The conditional field on a CPU: deformation, hash grid and networks, 48 points at a time.
 *
 * What eager PyTorch sends through main memory, operation by operation, stays in the cache here, and
 * backward passes compute it anew. clipnerf/fields/field.py says what is computed; this file, how:
 *
 *   deform    p' = p + limit * tanh(network(waves(p)))
 *   features  hash grid and low frequencies at p'
 *   network   density or colour from the features: layers of x W + b with ReLU between
 *
 * Rows are points. A row's result depends on no other row: the same sums in the same order wherever
 * the point stands, so cutting a batch changes no bit. Sums over points (gradients of weights and
 * of the table) are made by jobs of JOB points of one object, in a fixed order.
 *
 * Compiled once for each instruction set (setup.py), with LANES floats a vector and NAME() giving
 * the functions' suffix; clipnerf/fields/backends/native.py picks one. No Python.h, no threads.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>

#ifndef LANES
#define LANES 4
#endif
#ifndef SUFFIX
#define SUFFIX generic
#endif
#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define NAME(function) JOIN(function, SUFFIX)

#ifndef SOURCE
#define SOURCE 0
#endif
#define ROWS 48     /* points that go through together */
#define JOB 3072    /* points of a job */
#define PAD 16      /* widths are rounded up to it */
#define LAYERS 4    /* of a network, at most; with none, it is its end alone */
#define LEVELS 24   /* of the hash grid, at most */
#define PADDED(n) (((n) + PAD - 1) / PAD * PAD)
#define UNROLL _Pragma("GCC unroll 16")

typedef float vf __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t vi __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

/* ---- what Python describes; keep in step with backends/native.py ------------------------------ */

typedef struct {
    int32_t layers, width[LAYERS + 1];
    const float *weight[LAYERS], *bias[LAYERS]; /* [in, out], [out] of the first object */
    int64_t weight_step[LAYERS], bias_step[LAYERS]; /* floats from object to object; 0: shared */
    int32_t end;                                    /* after the last layer: see ended() */
    float shift, factor;
} Network;

typedef struct {
    int32_t mirror, octaves, levels;
    float extent, limit, rounding, side;
    float scale[LEVELS];
    int32_t resolution[LEVELS], hashed[LEVELS];
    int64_t offset[LEVELS + 1]; /* rows of the table before a level */
} Space;

/* ---- vectors ------------------------------------------------------------------------------------ */

static inline vf at(const float *p) { return *(const vf *)p; }
static inline void put(float *p, vf v) { *(vf *)p = v; }
static inline vf all(float x) { return x - (vf){0}; }
static inline vf choose(vi mask, vf yes, vf no) {
    return (vf)(((vi)yes & mask) | ((vi)no & ~mask));
}
/* not a number passes: comparisons with it are false */
static inline vf relu(vf x) { return (vf)((vi)x & ~(vi)(x < 0.0f)); }

static inline vf exp_of(vf x) {
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    vi none = (vi)(x < -87.0f), endless = (vi)(x > 88.0f);
    vf shifted = x * 1.44269504f + magic, n = shifted - magic;
    vf r = x - n * 0.693359375f + n * 2.12194440e-4f;
    vf y = all(1.9875691500e-4f);
    y = y * r + 1.3981999507e-3f;
    y = y * r + 8.3334519073e-3f;
    y = y * r + 4.1665795894e-2f;
    y = y * r + 1.6666665459e-1f;
    y = y * r + 5.0000001201e-1f;
    y = y * (r * r) + r + 1.0f;
    y = y * (vf)(((vi)shifted - (vi)all(magic) + 127) << 23);
    return choose(none, all(0.0f), choose(endless, all(INFINITY), y));
}

static inline vf tanh_of(vf x) {
    vf a = (vf)((vi)x & 0x7fffffff), z = x * x, p = all(-5.70498872745e-3f);
    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    vf near = p * z * x + x, far = 1.0f - 2.0f / (exp_of(a + a) + 1.0f);
    far = (vf)((vi)far | ((vi)x & (int32_t)0x80000000));
    return choose((vi)(a > 0.625f), far, near);
}

static inline vf sigmoid_of(vf x) { return 1.0f / (1.0f + exp_of(-x)); }

/* log(1 + exp(x)) */
static inline vf softplus_of(vf x) {
    vf u = exp_of(-(vf)((vi)x & 0x7fffffff)), z = u / (2.0f + u), q = z * z;
    vf p = all(0.0769230769f); /* log(1 + u) is twice the area tangent of z, up to 1/3 */
    p = p * q + 0.0909090909f;
    p = p * q + 0.1111111111f;
    p = p * q + 0.1428571429f;
    p = p * q + 0.2f;
    p = p * q + 0.3333333333f;
    return relu(x) + 2.0f * (p * q * z + z);
}

/* sine and cosine of u quarter turns */
static inline void sincos_of(vf u, vf *sine, vf *cosine) {
    const float magic = 12582912.0f;
    vf shifted = u + magic, a = (u - (shifted - magic)) * 1.57079632679f, z = a * a;
    vi quarter = (vi)shifted;
    vf s = all(-1.9515295891e-4f), c = all(2.443315711809948e-5f);
    s = (s * z + 8.3321608736e-3f) * z - 1.6666654611e-1f;
    s = s * z * a + a;
    c = (c * z - 1.388731625493765e-3f) * z + 4.166664568298827e-2f;
    c = c * z * z - 0.5f * z + 1.0f;
    vi odd = -(quarter & 1), negative = (quarter & 2) << 30;
    *sine = (vf)((vi)choose(odd, c, s) ^ negative);
    *cosine = (vf)((vi)choose(odd, s, c) ^ negative ^ (odd & (int32_t)0x80000000));
}

/* ---- matrix products of ROWS rows; columns padded to PAD ---------------------------------------- */

/* Y[rows, OV vectors] = bias + X W, in tiles of RB rows whose sums stay in registers */
#define DEFINE_PRODUCT(OV, RB)                                                                     \
    static void product_##OV(int inputs, const float *x, int x_step, const float *w, int w_step,   \
                             const float *bias, float *y, int y_step, int positive) {              \
        for (int row = 0; row < ROWS; row += RB, x += RB * x_step, y += RB * y_step) {             \
            vf sum[RB][OV];                                                                        \
            UNROLL for (int r = 0; r < RB; r++)                                                    \
                UNROLL for (int o = 0; o < OV; o++)                                                \
                    sum[r][o] = bias ? at(bias + o * LANES) : all(0.0f);                           \
            for (int i = 0; i < inputs; i++) {                                                     \
                vf own[OV];                                                                        \
                UNROLL for (int o = 0; o < OV; o++) own[o] = at(w + i * w_step + o * LANES);       \
                UNROLL for (int r = 0; r < RB; r++)                                                \
                    UNROLL for (int o = 0; o < OV; o++) sum[r][o] += x[r * x_step + i] * own[o];   \
            }                                                                                      \
            UNROLL for (int r = 0; r < RB; r++)                                                    \
                UNROLL for (int o = 0; o < OV; o++)                                                \
                    put(y + r * y_step + o * LANES, positive ? relu(sum[r][o]) : sum[r][o]);       \
        }                                                                                          \
    }

/* W[IB inputs, OV vectors] += X^T D, summed over the rows */
#define DEFINE_OUTER(OV, IB)                                                                       \
    static void outer_##OV##_##IB(const float *x, int x_step, const float *d, int d_step,          \
                                  float *w, int w_step) {                                          \
        vf sum[IB][OV];                                                                            \
        UNROLL for (int i = 0; i < IB; i++)                                                        \
            UNROLL for (int o = 0; o < OV; o++) sum[i][o] = at(w + i * w_step + o * LANES);        \
        for (int row = 0; row < ROWS; row++, x += x_step, d += d_step) {                           \
            vf own[OV];                                                                            \
            UNROLL for (int o = 0; o < OV; o++) own[o] = at(d + o * LANES);                        \
            UNROLL for (int i = 0; i < IB; i++)                                                    \
                UNROLL for (int o = 0; o < OV; o++) sum[i][o] += x[i] * own[o];                    \
        }                                                                                          \
        UNROLL for (int i = 0; i < IB; i++)                                                        \
            UNROLL for (int o = 0; o < OV; o++) put(w + i * w_step + o * LANES, sum[i][o]);        \
    }

#if LANES == 8 /* sixteen registers */
DEFINE_PRODUCT(3, 4)
DEFINE_PRODUCT(2, 6)
DEFINE_PRODUCT(1, 12)
DEFINE_OUTER(3, 4)
DEFINE_OUTER(2, 6)
DEFINE_OUTER(1, 12)
#define IB3 4
#define IB2 6
#define IB1 12
#define OUTER3 outer_3_4
#define OUTER2 outer_2_6
#define OUTER1 outer_1_12
#else /* thirty-two */
DEFINE_PRODUCT(3, 8)
DEFINE_PRODUCT(2, 12)
DEFINE_PRODUCT(1, 16)
DEFINE_OUTER(3, 8)
DEFINE_OUTER(2, 12)
DEFINE_OUTER(1, 16)
#define IB3 8
#define IB2 12
#define IB1 16
#define OUTER3 outer_3_8
#define OUTER2 outer_2_12
#define OUTER1 outer_1_16
#endif
DEFINE_OUTER(3, 1)
DEFINE_OUTER(2, 1)
DEFINE_OUTER(1, 1)

/* vectors that the next tile takes of those that are left */
static int next_tile(int vectors) { return vectors >= 5 || vectors == 3 ? 3 : vectors > 1 ? 2 : 1; }

static void product(int inputs, int outputs, const float *x, int x_step, const float *w, int w_step,
                    const float *bias, float *y, int y_step, int positive) {
    for (int left = outputs / LANES, take; left; left -= take) {
        take = next_tile(left);
        (take == 3 ? product_3 : take == 2 ? product_2 : product_1)(
            inputs, x, x_step, w, w_step, bias, y, y_step, positive);
        w += take * LANES, y += take * LANES, bias += bias ? take * LANES : 0;
    }
}

static void outer(int inputs, int outputs, const float *x, int x_step, const float *d, int d_step,
                  float *w, int w_step) {
    for (int left = outputs / LANES, take; left; left -= take) {
        take = next_tile(left);
        int i = 0, wide = take == 3 ? IB3 : take == 2 ? IB2 : IB1;
        for (; i + wide <= inputs; i += wide)
            (take == 3 ? OUTER3 : take == 2 ? OUTER2 : OUTER1)(
                x + i, x_step, d, d_step, w + i * w_step, w_step);
        for (; i < inputs; i++)
            (take == 3 ? outer_3_1 : take == 2 ? outer_2_1 : outer_1_1)(
                x + i, x_step, d, d_step, w + i * w_step, w_step);
        d += take * LANES, w += take * LANES;
    }
}

/* ---- one object's network ------------------------------------------------------------------------ */

typedef struct {
    int layers, width[LAYERS + 1], padded[LAYERS + 1];
    float *weight[LAYERS], *bias[LAYERS], *turned[LAYERS]; /* [in, out'], [out'], [out, in'] */
    float *hidden[LAYERS + 1], *back[LAYERS + 1];           /* [ROWS, width'] after each layer */
} Packed;

static int64_t floats_of(const Network *n) {
    int64_t sum = 0;
    for (int l = 0; l < n->layers; l++) {
        int64_t in = n->width[l], out = n->width[l + 1];
        sum += (in + 1) * PADDED(out) + out * PADDED(in);
    }
    for (int l = 0; l <= n->layers; l++) sum += 2 * ROWS * PADDED(n->width[l]);
    return sum;
}

static float *pack(const Network *n, int64_t object, Packed *p, float *room) {
    p->layers = n->layers;
    for (int l = 0; l <= n->layers; l++) {
        p->width[l] = n->width[l], p->padded[l] = PADDED(n->width[l]);
        p->hidden[l] = room, room += ROWS * p->padded[l];
        p->back[l] = room, room += ROWS * p->padded[l];
        memset(p->hidden[l], 0, 2 * ROWS * p->padded[l] * sizeof(float));
    }
    for (int l = 0; l < n->layers; l++) {
        int in = p->width[l], out = p->width[l + 1], in_ = p->padded[l], out_ = p->padded[l + 1];
        const float *w = n->weight[l] + object * n->weight_step[l];
        p->weight[l] = room, room += in * out_;
        p->bias[l] = room, room += out_;
        p->turned[l] = room, room += out * in_;
        memset(p->weight[l], 0, (room - p->weight[l]) * sizeof(float));
        for (int i = 0; i < in; i++)
            for (int o = 0; o < out; o++)
                p->weight[l][i * out_ + o] = p->turned[l][o * in_ + i] = w[i * out + o];
        memcpy(p->bias[l], n->bias[l] + object * n->bias_step[l], out * sizeof(float));
    }
    return room;
}

/* The end of a network: nothing (0), a sigmoid (1), or factor * softplus(. + shift) (2). */
static inline vf ended(const Network *n, vf x) {
    if (n->end == 1) return sigmoid_of(x);
    return n->factor * softplus_of(x + n->shift);
}

static inline vf slope(const Network *n, vf x) {
    if (n->end == 2) return n->factor * sigmoid_of(x + n->shift);
    vf y = sigmoid_of(x);
    return y * (1.0f - y);
}

/* hidden[1..layers] of ROWS rows of x */
static void forward(Packed *p, const float *x, int x_step) {
    for (int l = 0; l < p->layers; l++) {
        const float *from = l ? p->hidden[l] : x;
        product(p->width[l], p->padded[l + 1], from, l ? p->padded[l] : x_step, p->weight[l],
                p->padded[l + 1], p->bias[l], p->hidden[l + 1], p->padded[l + 1],
                l + 1 < p->layers);
    }
}

/* From back[layers] to sums over rows in `sums`, and to back[0] if `inwards`. */
static void backward(Packed *p, const float *x, int x_step, float *sums, int inwards) {
    float *start[LAYERS];
    for (int l = 0; l < p->layers; l++) {
        start[l] = sums;
        sums += (p->width[l] + 1) * p->padded[l + 1];
    }
    for (int l = p->layers - 1; l >= 0; l--) {
        int in = p->width[l], out_ = p->padded[l + 1], in_ = p->padded[l];
        const float *d = p->back[l + 1];
        outer(in, out_, l ? p->hidden[l] : x, l ? in_ : x_step, d, out_, start[l], out_);
        float *bias = start[l] + in * out_;
        for (int row = 0; row < ROWS; row++)
            for (int o = 0; o < out_; o += LANES)
                put(bias + o, at(bias + o) + at(d + row * out_ + o));
        if (!l && !inwards) return;
        product(p->width[l + 1], in_, d, out_, p->turned[l], in_, NULL, p->back[l], in_, 0);
        if (!l) return;
        for (int k = 0; k < ROWS * in_; k += LANES) { /* where the ReLU was closed */
            vi closed = (vi)(at(p->hidden[l] + k) <= 0.0f);
            put(p->back[l] + k, (vf)((vi)at(p->back[l] + k) & ~closed));
        }
    }
}

/* ---- rows in and out: the last block of a job is filled up with zeros --------------------------- */

static void take_rows(float *to, int to_step, const float *from, int width, int rows) {
    for (int row = 0; row < ROWS; row++) {
        if (row < rows) memcpy(to + row * to_step, from + (int64_t)row * width, width * 4);
        else memset(to + row * to_step, 0, width * 4);
    }
}

static void give_rows(float *to, const float *from, int from_step, int width, int rows) {
    for (int row = 0; row < rows; row++)
        memcpy(to + (int64_t)row * width, from + row * from_step, width * 4);
}

/* A job: `*points` points of one object, from row `*first` of the whole batch on. */
static int64_t job_of(int64_t job, int64_t of_object, int64_t *first, int64_t *points) {
    int64_t parts = (of_object + JOB - 1) / JOB, object = job / parts, start = job % parts * JOB;
    *first = object * of_object + start;
    *points = of_object - start < JOB ? of_object - start : JOB;
    return object;
}

static int rows_of(int64_t left) { return left < ROWS ? (int)left : ROWS; }

/* ---- frequency encoding and the mirror ------------------------------------------------------------ */

#define OCTAVES 16
typedef struct {
    float coordinate[ROWS * 3], sine[ROWS * 3 * OCTAVES], cosine[ROWS * 3 * OCTAVES];
} Waves;

/* Coordinates, sines, cosines of 2^k quarter turns of them (encoding.py), octave by octave. */
static void waves_of(Waves *w, int octaves, float *out, int out_step) {
    int n = 3 * octaves;
    for (int row = 0; row < ROWS; row++)
        for (int k = 0; k < octaves; k++)
            for (int d = 0; d < 3; d++)
                w->sine[row * n + 3 * k + d] = w->coordinate[row * 3 + d] * (float)(1 << k);
    for (int k = 0; k < ROWS * n; k += LANES) {
        vf sine, cosine;
        sincos_of(at(w->sine + k), &sine, &cosine);
        put(w->sine + k, sine), put(w->cosine + k, cosine);
    }
    for (int row = 0; row < ROWS; row++, out += out_step) {
        memcpy(out, w->coordinate + row * 3, 12);
        memcpy(out + 3, w->sine + row * n, n * 4);
        memcpy(out + 3 + n, w->cosine + row * n, n * 4);
    }
}

/* Adds what the gradient of that encoding gives the coordinates. */
static void waves_back(const Waves *w, int octaves, const float *d, int d_step, float *out) {
    int n = 3 * octaves;
    for (int row = 0; row < ROWS; row++, d += d_step)
        for (int c = 0; c < 3; c++) {
            float sum = d[c], pace = 1.57079632679f;
            for (int k = 3 + c; k < 3 + n; k += 3, pace *= 2.0f)
                sum += pace * (d[k] * w->cosine[row * n + k - 3] - d[k + n] * w->sine[row * n + k - 3]);
            out[row * 3 + c] += sum;
        }
}

/* |y| rounded off at 0: the image of a point on the left of the mirror's plane */
static void to_one_side(const Space *s, const float *points, float *out) {
    memcpy(out, points, ROWS * 3 * sizeof(float));
    if (!s->mirror) return;
    for (int row = 0; row < ROWS; row++) {
        float y = points[row * 3 + 1];
        out[row * 3 + 1] = sqrtf(y * y + s->rounding * s->rounding);
    }
}

/* ---- hash grid ------------------------------------------------------------------------------------- */

typedef struct {
    float where[3][ROWS];             /* in [0, 1] */
    float part[3][ROWS], share[8][ROWS], dot[8][ROWS];
    uint32_t index[8][ROWS];
} Cells;

static void places_of(const Space *s, const float *points, Cells *c) {
    for (int d = 0; d < 3; d++)
        for (int row = 0; row < ROWS; row++) {
            float x = points[row * 3 + d] / (2.0f * s->extent) + 0.5f;
            c->where[d][row] = x < 0.0f ? 0.0f : x > 1.0f ? 1.0f : x;
        }
}

/* Rows of a level's eight corners, and their shares; x runs fastest (layout.py). */
static void corners_of(const Space *s, int level, Cells *c) {
    uint32_t count = (uint32_t)(s->offset[level + 1] - s->offset[level]);
    uint32_t res = (uint32_t)s->resolution[level];
    uint32_t factor[3] = {1, s->hashed[level] ? 2654435761u : res,
                          s->hashed[level] ? 805459861u : res * res};
    float scale = s->scale[level];
    uint32_t low[3][ROWS];
    for (int d = 0; d < 3; d++)
        for (int row = 0; row < ROWS; row++) {
            float place = c->where[d][row] * scale + 0.5f;
            int32_t cell = (int32_t)place;
            /* what is not a number has no cell: it takes the first, and stays in `part` */
            cell = cell < 0 ? 0 : cell;
            c->part[d][row] = place - (float)cell;
            low[d][row] = (uint32_t)cell * factor[d];
        }
    for (int corner = 0; corner < 8; corner++) {
        uint32_t x = corner & 1 ? factor[0] : 0, y = corner & 2 ? factor[1] : 0;
        uint32_t z = corner & 4 ? factor[2] : 0, *index = c->index[corner];
        if (s->hashed[level])
            for (int row = 0; row < ROWS; row++)
                index[row] = ((low[0][row] + x) ^ (low[1][row] + y) ^ (low[2][row] + z)) & (count - 1);
        else
            for (int row = 0; row < ROWS; row++) {
                uint32_t i = low[0][row] + x + low[1][row] + y + low[2][row] + z;
                index[row] = i >= count ? i - count : i;
            }
        for (int row = 0; row < ROWS; row++) {
            float a = c->part[0][row], b = c->part[1][row], e = c->part[2][row];
            c->share[corner][row] =
                (corner & 1 ? a : 1 - a) * (corner & 2 ? b : 1 - b) * (corner & 4 ? e : 1 - e);
        }
    }
}

static void grid_forward(const Space *s, const float *table, Cells *c, float *out, int out_step) {
    for (int level = 0; level < s->levels; level++) {
        const float *rows = table + 2 * s->offset[level];
        corners_of(s, level, c);
        for (int row = 0; row < ROWS; row++) {
            float first = 0, second = 0;
            UNROLL for (int corner = 0; corner < 8; corner++) {
                const float *entry = rows + 2 * (size_t)c->index[corner][row];
                first += c->share[corner][row] * entry[0];
                second += c->share[corner][row] * entry[1];
            }
            out[row * out_step + 2 * level] = first;
            out[row * out_step + 2 * level + 1] = second;
        }
    }
}

/* Adds to the table's gradient (`sums`), and to that of the points. */
static void grid_backward(const Space *s, const float *table, Cells *c, const float *d, int d_step,
                          float *sums, float *points) {
    for (int level = 0; level < s->levels; level++) {
        const float *rows = table + 2 * s->offset[level];
        float *to = sums ? sums + 2 * s->offset[level] : NULL;
        corners_of(s, level, c);
        for (int row = 0; row < ROWS; row++) {
            float first = d[row * d_step + 2 * level], second = d[row * d_step + 2 * level + 1];
            UNROLL for (int corner = 0; corner < 8; corner++) {
                size_t entry = 2 * (size_t)c->index[corner][row];
                c->dot[corner][row] = rows[entry] * first + rows[entry + 1] * second;
                if (to) {
                    to[entry] += c->share[corner][row] * first;
                    to[entry + 1] += c->share[corner][row] * second;
                }
            }
        }
        float pace = s->scale[level] / (2.0f * s->extent);
        for (int row = 0; row < ROWS; row++) {
            float a = c->part[0][row], b = c->part[1][row], e = c->part[2][row], q[8], line[3];
            for (int corner = 0; corner < 8; corner++) q[corner] = c->dot[corner][row];
            line[0] = ((q[1] - q[0]) * (1 - b) + (q[3] - q[2]) * b) * (1 - e) +
                      ((q[5] - q[4]) * (1 - b) + (q[7] - q[6]) * b) * e;
            line[1] = ((q[2] - q[0]) * (1 - a) + (q[3] - q[1]) * a) * (1 - e) +
                      ((q[6] - q[4]) * (1 - a) + (q[7] - q[5]) * a) * e;
            line[2] = ((q[4] - q[0]) * (1 - a) + (q[5] - q[1]) * a) * (1 - b) +
                      ((q[6] - q[2]) * (1 - a) + (q[7] - q[3]) * a) * b;
            for (int k = 0; k < 3; k++) points[row * 3 + k] += pace * line[k];
        }
    }
}

/* ---- what Python calls; each does jobs `from` to `to`; 0, or 1 if memory is short ---------------- */

static float *room_for(int64_t floats) { return malloc((floats + 64) * sizeof(float)); }

/* Floats of a job's sums: for each layer [in, out'] and [out']. */
int64_t NAME(sums)(const Network *n) {
    int64_t sum = 0;
    for (int l = 0; l < n->layers; l++) sum += (n->width[l] + 1) * (int64_t)PADDED(n->width[l + 1]);
    return sum;
}

int NAME(network)(const Network *n, const float *x, float *y, int64_t of_object, int64_t from,
                  int64_t to) {
    float *room = room_for(floats_of(n));
    if (!room) return 1;
    Packed p;
    int in = n->width[0], out = n->width[n->layers];
    for (int64_t job = from, packed = -1; job < to; job++) {
        int64_t first, points, object = job_of(job, of_object, &first, &points);
        if (object != packed) pack(n, packed = object, &p, room);
        for (int64_t at_ = first; at_ < first + points; at_ += ROWS) {
            int rows = rows_of(first + points - at_), whole = rows == ROWS && n->layers;
            if (!whole) take_rows(p.hidden[0], p.padded[0], x + at_ * in, in, rows);
            forward(&p, whole ? x + at_ * in : p.hidden[0], whole ? in : p.padded[0]);
            float *last = p.hidden[n->layers];
            for (int k = 0; n->end && k < ROWS * p.padded[n->layers]; k += LANES)
                put(last + k, ended(n, at(last + k)));
            give_rows(y + at_ * out, p.hidden[n->layers], p.padded[n->layers], out, rows);
        }
    }
    free(room);
    return 0;
}

/* dy -> dx (unless NULL), and sums of job j at sums + j * NAME(sums). */
int NAME(network_back)(const Network *n, const float *x, const float *dy, float *dx, float *sums,
                       int64_t of_object, int64_t from, int64_t to) {
    float *room = room_for(floats_of(n));
    if (!room) return 1;
    Packed p;
    int in = n->width[0], last = n->layers, out = n->width[last];
    for (int64_t job = from, packed = -1; job < to; job++) {
        int64_t first, points, object = job_of(job, of_object, &first, &points);
        if (object != packed) pack(n, packed = object, &p, room);
        for (int64_t at_ = first; at_ < first + points; at_ += ROWS) {
            int rows = rows_of(first + points - at_), whole = rows == ROWS && n->layers;
            if (!whole) take_rows(p.hidden[0], p.padded[0], x + at_ * in, in, rows);
            const float *seen = whole ? x + at_ * in : p.hidden[0];
            int step = whole ? in : p.padded[0];
            take_rows(p.back[last], p.padded[last], dy + at_ * out, out, rows);
            forward(&p, seen, step);
            for (int k = 0; n->end && k < ROWS * p.padded[last]; k += LANES)
                put(p.back[last] + k, at(p.back[last] + k) * slope(n, at(p.hidden[last] + k)));
            backward(&p, seen, step, sums + job * NAME(sums)(n), dx != NULL);
            if (dx) give_rows(dx + at_ * in, p.back[0], p.padded[0], in, rows);
        }
    }
    free(room);
    return 0;
}

/* Displaced points; with `dy`, the gradients: dx (unless NULL) and sums, as in network_back. */
static int deform(const Network *n, const Space *s, const float *x, float *y, const float *dy,
                  float *dx, float *sums, int64_t of_object, int64_t from, int64_t to) {
    float *room = room_for(floats_of(n) + 4 * ROWS * 3);
    Waves *w = malloc(sizeof(Waves));
    if (!room || !w) return free(room), free(w), 1;
    Packed p;
    int last = n->layers;
    float *points = room, *gradient = room + ROWS * 3, *side = room + 2 * ROWS * 3;
    float *shift = room + 3 * ROWS * 3;
    for (int64_t job = from, packed = -1; job < to; job++) {
        int64_t first, many, object = job_of(job, of_object, &first, &many);
        if (object != packed) pack(n, packed = object, &p, room + 4 * ROWS * 3);
        for (int64_t at_ = first; at_ < first + many; at_ += ROWS) {
            int rows = rows_of(first + many - at_), wide = p.padded[last];
            take_rows(points, 3, x + at_ * 3, 3, rows);
            to_one_side(s, points, w->coordinate);
            waves_of(w, s->octaves, p.hidden[0], p.padded[0]);
            forward(&p, p.hidden[0], p.padded[0]);
            for (int row = 0; row < ROWS; row++) {
                for (int c = 0; c < 3; c++) shift[row * 3 + c] = p.hidden[last][row * wide + c];
                side[row] = s->mirror ? points[row * 3 + 1] / w->coordinate[row * 3 + 1] : 1.0f;
            }
            for (int k = 0; k < ROWS * 3; k += LANES) put(shift + k, tanh_of(at(shift + k)));
            if (y) {
                for (int row = 0; row < ROWS; row++)
                    for (int c = 0; c < 3; c++)
                        points[row * 3 + c] +=
                            s->limit * shift[row * 3 + c] * (c == 1 ? side[row] : 1.0f);
                give_rows(y + at_ * 3, points, 3, 3, rows);
                continue;
            }
            take_rows(gradient, 3, dy + at_ * 3, 3, rows);
            for (int row = 0; row < ROWS; row++)
                for (int c = 0; c < 3; c++) {
                    float t = shift[row * 3 + c], turn = c == 1 ? side[row] : 1.0f;
                    p.back[last][row * wide + c] =
                        s->limit * (1 - t * t) * turn * gradient[row * 3 + c];
                }
            backward(&p, p.hidden[0], p.padded[0], sums + job * NAME(sums)(n), dx != NULL);
            if (!dx) continue;
            float coordinate[ROWS * 3] = {0};
            waves_back(w, s->octaves, p.back[0], p.padded[0], coordinate);
            for (int row = 0; row < ROWS; row++) {
                float *g = gradient + row * 3, half = w->coordinate[row * 3 + 1];
                if (s->mirror) {
                    float bend = s->rounding * s->rounding / (half * half * half);
                    coordinate[row * 3 + 1] = coordinate[row * 3 + 1] * side[row] +
                                              g[1] * s->limit * shift[row * 3 + 1] * bend;
                }
                for (int c = 0; c < 3; c++) g[c] += coordinate[row * 3 + c];
            }
            give_rows(dx + at_ * 3, gradient, 3, 3, rows);
        }
    }
    free(room), free(w);
    return 0;
}

int NAME(deform)(const Network *n, const Space *s, const float *x, float *y, int64_t of_object,
                 int64_t from, int64_t to) {
    return deform(n, s, x, y, NULL, NULL, NULL, of_object, from, to);
}

int NAME(deform_back)(const Network *n, const Space *s, const float *x, const float *dy, float *dx,
                      float *sums, int64_t of_object, int64_t from, int64_t to) {
    return deform(n, s, x, NULL, dy, dx, sums, of_object, from, to);
}

/* Features [points, 2 * levels + 3 + 6 * octaves (+ side)] of displaced points; all are one object's.
 * With `dy`, the gradients: dx (unless NULL) and the table's, added to `sums` (unless NULL). */
static int features(const Space *s, const float *table, const float *x, float *y, const float *dy,
                    float *dx, float *sums, int64_t points, int64_t from, int64_t to) {
    int grid = 2 * s->levels, width = grid + 3 + 6 * s->octaves + (s->mirror ? 1 : 0);
    float *room = room_for(ROWS * (width + 10));
    struct { Waves w; Cells c; } *own = malloc(sizeof *own);
    if (!room || !own) return free(room), free(own), 1;
    float *at_point = room, *near = room + ROWS * 3, *side = near + ROWS * 3, *rest = side + ROWS;
    for (int64_t job = from; job < to; job++) {
        int64_t first, many;
        job_of(job, points, &first, &many);
        for (int64_t at_ = first; at_ < first + many; at_ += ROWS) {
            int rows = rows_of(first + many - at_);
            take_rows(at_point, 3, x + at_ * 3, 3, rows);
            to_one_side(s, at_point, own->w.coordinate);
            places_of(s, own->w.coordinate, &own->c);
            waves_of(&own->w, s->octaves, rest + grid, width);
            if (s->mirror) {
                for (int row = 0; row < ROWS; row++) side[row] = s->side * at_point[row * 3 + 1];
                for (int k = 0; k < ROWS; k += LANES) put(side + k, tanh_of(at(side + k)));
            }
            if (y) {
                grid_forward(s, table, &own->c, rest, width);
                if (s->mirror)
                    for (int row = 0; row < ROWS; row++) rest[row * width + width - 1] = side[row];
                give_rows(y + at_ * width, rest, width, width, rows);
                continue;
            }
            take_rows(rest, width, dy + at_ * width, width, rows);
            memset(near, 0, ROWS * 3 * sizeof(float));
            grid_backward(s, table, &own->c, rest, width, sums, near);
            if (!dx) continue;
            for (int row = 0; row < ROWS; row++)
                for (int c = 0; c < 3; c++) { /* outside the grid nothing moves */
                    float place = own->w.coordinate[row * 3 + c] / (2.0f * s->extent) + 0.5f;
                    if (place < 0.0f || place > 1.0f) near[row * 3 + c] = 0.0f;
                }
            waves_back(&own->w, s->octaves, rest + grid, width, near);
            if (s->mirror)
                for (int row = 0; row < ROWS; row++)
                    near[row * 3 + 1] =
                        near[row * 3 + 1] * at_point[row * 3 + 1] / own->w.coordinate[row * 3 + 1] +
                        rest[row * width + width - 1] * s->side * (1 - side[row] * side[row]);
            give_rows(dx + at_ * 3, near, 3, 3, rows);
        }
    }
    free(room), free(own);
    return 0;
}

int NAME(features)(const Space *s, const float *table, const float *x, float *y, int64_t points,
                   int64_t from, int64_t to) {
    return features(s, table, x, y, NULL, NULL, NULL, points, from, to);
}

/* The jobs of a call add to one copy of the table's gradient: a copy for each `jobs` of them. */
int NAME(features_back)(const Space *s, const float *table, const float *x, const float *dy,
                        float *dx, float *sums, int64_t jobs, int64_t points, int64_t from,
                        int64_t to) {
    if (sums) sums += from / jobs * 2 * s->offset[s->levels];
    return features(s, table, x, NULL, dy, dx, sums, points, from, to);
}

/* The checksum of the file that this was compiled from. */
uint32_t NAME(source)(void) { return SOURCE; }

/* Whether this processor has the instructions of this version. */
int NAME(runs)(void) {
#if LANES == 16 && defined(__x86_64__)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
#elif LANES == 8 && defined(__x86_64__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#elif defined(__aarch64__)
    return 1;
#else
    return 0; /* without fused multiply-add, eager PyTorch is the better choice */
#endif
}
