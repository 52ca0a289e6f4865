/* The arithmetic of docs/training.md, once more in C: what a target computes. */
#include <math.h>
#include <stdint.h>

float exp32(float x);
float log32(float x);
uint32_t key(uint32_t seed, uint32_t sample, uint32_t parameter);
int32_t stepped(int32_t value, float step, uint32_t key, uint32_t element, int32_t limit);
void dense_weight_update(int8_t *weights, const float *g, const int8_t *x, const float *factors,
                         int32_t outputs, int32_t inputs, int32_t zero_point, float rate,
                         uint32_t key);

static float horner(const float *coefficients, int count, float x)
{
    float total = 0.0f;
    for (int i = 0; i < count; i++) {
        total = total * x + coefficients[i];
    }
    return total;
}

float exp32(float x)
{
    static const float taylor[8] = {
        1.0f / 5040, 1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f,
    };
    if (x < -87.0f) {
        return 0.0f;
    }
    float n = floorf(x * 1.44269504f + 0.5f);
    float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
    return ldexpf(horner(taylor, 8, r), (int)n);
}

float log32(float x)
{
    static const float taylor[5] = {1.0f / 9, 1.0f / 7, 1.0f / 5, 1.0f / 3, 1.0f};
    int e;
    float m = frexpf(x, &e);
    if (m < 0.75f) {
        m *= 2.0f;
        e--;
    }
    float t = (m - 1.0f) / (m + 1.0f);
    float whole = (float)e;
    float series = horner(taylor, 5, t * t);
    return (2.0f * t * series + whole * -2.12194440e-4f) + whole * 0.693359375f;
}

static uint32_t mix(uint32_t x)
{
    x = (x ^ (x >> 16)) * 0x85EBCA6Bu;
    x = (x ^ (x >> 13)) * 0xC2B2AE35u;
    return x ^ (x >> 16);
}

uint32_t key(uint32_t seed, uint32_t sample, uint32_t parameter)
{
    return mix(mix(mix(seed) + sample) + parameter);
}

int32_t stepped(int32_t value, float step, uint32_t key_, uint32_t element, int32_t limit)
{
    float m = fabsf(step);
    m = m < 1073741824.0f ? m : 1073741824.0f;
    int32_t whole = (int32_t)m;
    float rest = m - (float)whole;
    uint32_t draw = mix(key_ + element) >> 8;
    int64_t change = whole + ((float)draw < rest * 16777216.0f ? 1 : 0);
    int64_t moved = step > 0.0f ? value - change : value + change;
    int64_t low = value < -limit ? value : -limit;
    return (int32_t)(moved > limit ? limit : moved < low ? low : moved);
}

/* One place: what is left of a classifier's update once g is there. */
void dense_weight_update(int8_t *weights, const float *g, const int8_t *x, const float *factors,
                         int32_t outputs, int32_t inputs, int32_t zero_point, float rate,
                         uint32_t key_)
{
    for (int32_t o = 0; o < outputs; o++) {
        for (int32_t i = 0; i < inputs; i++) {
            int32_t at = o * inputs + i;
            float sum = 0.0f + g[o] * (float)(x[i] - zero_point);
            float step = rate * (sum * factors[o]);
            weights[at] = (int8_t)stepped(weights[at], step, key_, (uint32_t)at, 127);
        }
    }
}
