/* Decoder of coded .tflite files (format LWC1, described in decoder.py). C99, one file, no allocation, no library.

   uint32_t size = lwc_size(coded, n);              bytes of the .tflite; 0: not a coded file, or damaged
   uint32_t work_bytes = lwc_workspace(coded, n);   bytes of working memory
   int error = lwc_decode(coded, n, tflite, size, work, work_bytes);      0, or one of the errors below

   `work` is aligned to 8 bytes and free again afterwards. After an error `tflite` is of no use. float has 32 bits (IEEE). */
#include <stdint.h>
#include <string.h>

enum { LWC_OK, LWC_NOT_CODED, LWC_DAMAGED, LWC_BUFFER_TOO_SMALL };
enum {
    INT, FLOAT, LIST, RATIO /* modes of segments */, HEADER = 19, MAX_RATIO = 1000, CHUNK = 16384, COUNT_LIMIT = 32767,
    BLOCK = 16, MAX_BLOCK = 512, TEXT_INPUTS = 6, VALUE_INPUTS = 3, TEXT_WEIGHT = 19000, VALUE_WEIGHT = 24000,
    TEXT_RATE = 1500, VALUE_RATE = 2500, TEXT_STEP = 32000, VALUE_STEP = 2000, MATCH_BITS = 13, MIN_MATCH = 4,
    LONG_MATCH = 16, MAX_MATCH = 32, CLIP = 2815, VALUE_TABLE_BITS = 16, WEIGHTS = 5 * TEXT_INPUTS * 16
};

typedef struct {
    const uint8_t *in, *end; /* the stream */
    uint32_t range, code, rate, decisions, step, *last /* where five bytes with this hash were last */;
    uint16_t (*counts)[2]; /* pairs of counters: zeros, ones */
    int bits, inputs, block, in_block, is_damaged;
    int32_t logarithms[256], tail[90], weights[WEIGHTS];
    int64_t gradients[WEIGHTS];
} Decoder;
typedef struct {
    uint32_t start, bytes, count, salt, channel_values, channels, above, before, base, zero, peak, entries;
    int mode, bits, by_channel, class_bits, low_bits;
    const uint8_t *list;
} Segment;
typedef struct { const uint8_t *at, *end; int is_damaged; } Numbers; /* reads the plan */

static uint32_t u32(const uint8_t *p) { return p[0] | p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24; }
static int64_t down(int64_t x, int n) { return x >= 0 ? x >> n : ~(~x >> n); } /* floor(x / 2^n) */
static int64_t clip(int64_t x) { return x > CLIP ? CLIP : x < -CLIP ? -CLIP : x; }
static uint32_t mix(uint32_t h, uint32_t x) { h = (h ^ x) * 0x9E3779B1u; return h ^ h >> 15; }
static uint32_t hash2(uint32_t x, uint32_t y) { return mix(mix(0, x), y); }
static uint32_t bit_length(uint32_t x) { uint32_t n = 0; while (x) n++, x >>= 1; return n; }
static uint32_t magnitude_class(uint32_t n) { return n > 1 ? 2 * bit_length(n) + (n >> (bit_length(n) - 2) & 1) : n; }
static uint32_t crc32_of(const uint8_t *p, uint32_t n) {
    uint32_t crc = ~0u;
    for (int k; n--;) for (crc ^= *p++, k = 0; k < 8; k++) crc = crc >> 1 ^ (0xEDB88320u & (0u - (crc & 1)));
    return ~crc;
}
static int32_t estimate(const Decoder *d, uint32_t n) {
    int shift = n < 256 ? 0 : (int)bit_length(n) - 8;
    return d->logarithms[n >> shift] + shift * 177;
}
static void refill(Decoder *d) {
    for (; d->range < 1u << 24; d->range <<= 8) d->code = d->code << 8 | (d->in < d->end ? *d->in++ : 0);
}
static void learn(Decoder *d, int is_chunk) { /* ends a block of decisions about values, or a chunk of values */
    for (int i = 0; i < WEIGHTS; d->gradients[i++] = 0) d->weights[i] += (int32_t)down(d->gradients[i] * d->rate, 24);
    d->decisions += d->in_block, d->in_block = 0;
    for (; d->decisions >= d->step; d->rate >>= 1, d->step *= 4) d->block = d->block < MAX_BLOCK ? 2 * d->block : MAX_BLOCK;
    for (uint16_t(*c)[2] = d->counts; is_chunk && c < d->counts + (1u << d->bits); c++)
        if ((*c)[0] > COUNT_LIMIT || (*c)[1] > COUNT_LIMIT) (*c)[0] = ((*c)[0] + 1) >> 1, (*c)[1] = ((*c)[1] + 1) >> 1;
}
static uint32_t decide(Decoder *d, const uint32_t *contexts, uint32_t prefix, uint32_t node, int kind) {
    uint16_t *counts[TEXT_INPUTS];
    int32_t stretch[TEXT_INPUTS], weight[TEXT_INPUTS], is_text = d->inputs == TEXT_INPUTS;
    int64_t total = 0;
    for (int i = 0; i < d->inputs; i++) {
        uint32_t h = (contexts[i] + (i ? node : prefix) * 0x85EBCA6Bu) * 0x9E3779B1u;
        h = (h ^ h >> 16) * 0x7FEB352Du;
        uint16_t *c = counts[i] = d->counts[h >> (32 - d->bits)];
        uint32_t seen = bit_length((uint32_t)c[0] + c[1]);
        stretch[i] = (int32_t)clip(estimate(d, c[1]) - estimate(d, c[0]));
        weight[i] = (kind * d->inputs + i) * 16 + (int)(seen > 7 ? 7 : seen) + (c[0] && c[1] ? 0 : 8);
        total += (int64_t)d->weights[weight[i]] * stretch[i];
    }
    int32_t t = (int32_t)clip(down(total, 16)), a = t < 0 ? -t : t;
    int32_t p = (d->tail[a >> 5] * (32 - (a & 31)) + d->tail[(a >> 5) + 1] * (a & 31)) >> 5;
    p = t < 0 ? p : 65536 - p;
    uint32_t bound = (uint64_t)d->range * p >> 16, bit = d->code < bound;
    d->code -= bit ? 0 : bound, d->range = bit ? bound : d->range - bound;
    refill(d);
    int64_t error = (bit ? 65536 : 0) - p;
    for (int i = 0; i < d->inputs; i++) {
        if (is_text) d->weights[weight[i]] += (int32_t)down(error * d->rate * stretch[i], 24);
        else d->gradients[weight[i]] += error * stretch[i];
        if (counts[i][bit] < (is_text ? 255 : 65535)) counts[i][bit]++;
        if (is_text && counts[i][!bit] > 2) counts[i][!bit] = (counts[i][!bit] + 2) >> 1;
    }
    if (!is_text && ++d->in_block == d->block) learn(d, 0);
    if (is_text && ++d->decisions == d->step) d->rate = d->rate * 181 >> 8, d->step *= 2;
    return bit;
}
static uint32_t number(Numbers *n) { /* of 7 bits a byte, low first, 128 meaning that more follows */
    uint32_t value = 0;
    for (int shift = 0; shift < 35 && n->at < n->end; shift += 7) {
        value |= (uint32_t)(*n->at & 127) << shift;
        if (*n->at++ < 128) return value;
    }
    return n->is_damaged = 1, 0;
}
static const uint8_t *raw(Numbers *n, uint32_t count) {
    static const uint8_t nothing[5] = {0};
    if (count > (uint32_t)(n->end - n->at)) return n->is_damaged = 1, nothing;
    return (n->at += count) - count;
}

/* The next `count` bytes of the plan or of the structure; products: where these are in the plan, or none. */
static void text(Decoder *d, uint8_t *out, uint32_t count, Numbers *products, uint32_t left) {
    uint32_t match = 0, length = 0, target = 0, end = 0, source = 0, bits;
    int divides = 0;
    float factor = 0, scale;
    memset(d->last, 0, 4u << MATCH_BITS);
    for (uint32_t i = 0; i < count; i++) {
        for (; left && i >= end; left--) {
            target = end + 4 * number(products), end = target + 4 * number(products), source = target - 4 * number(products);
            divides = *raw(products, 1), bits = u32(raw(products, 4));
            memcpy(&factor, &bits, 4);
            if (products->is_damaged || end > count || target > end || source > target || end - target > target - source)
                left = 1, end = 0, d->is_damaged = 1;
        }
        int is_product = i >= target && i < end, kind = !length ? 0 : length < 8 ? 1 : 2;
        uint32_t expected = length ? out[match] : 0;
        if (is_product) {
            memcpy(&scale, (bits = u32(out + source + ((i - target) & ~3u)), &bits), 4);
            double value = divides ? (double)scale / factor : (double)scale * factor;
            scale = value < 3e38 && value > -3e38 ? (float)value : 0;
            expected = (memcpy(&bits, &scale, 4), bits >> 8 * (i & 3) & 255);
        }
        uint32_t one = i >= 1 ? out[i - 1] : 0, two = i >= 2 ? out[i - 2] : 0, four = i >= 4 ? out[i - 4] : 0;
        uint32_t eight = i >= 8 ? out[i - 8] : 0, lane = i & 3, node = 1;
        uint32_t contexts[TEXT_INPUTS] = {
            hash2(0, lane), hash2(1, one | lane << 8), hash2(2, one | two << 8), hash2(3, four | eight << 8 | lane << 16),
            hash2(4, four | one << 8 | lane << 16),
            length ? hash2(5, expected | (length > 15 ? 15 : length) << 8 | 1u << 16) : 5};
        if (is_product || length >= LONG_MATCH) {
            contexts[5] = mix(hash2(5, 999), is_product ? 99 : length);
            if (decide(d, contexts, 0, 0, 4)) node = 256 + expected;
            contexts[5] = 5, kind = 3;
        }
        while (node < 256) node = node * 2 + decide(d, contexts, node, node, kind);
        out[i] = (uint8_t)node;
        length = length && out[match] == out[i] ? length + (length < MAX_MATCH) : 0;
        match = length ? match + 1 : 0;
        if (i < 4) continue;
        bits = hash2(out[i] | out[i - 1] << 8 | (uint32_t)out[i - 2] << 16, out[i - 3] | out[i - 4] << 8);
        uint32_t *last = d->last + (bits >> (32 - MATCH_BITS));
        if (!length) {
            match = *last;
            while (length < MAX_MATCH && length < match && out[match - 1 - length] == out[i - length]) length++;
            if (length < MIN_MATCH) match = length = 0;
        }
        *last = i + 1;
    }
}
static int64_t value(Decoder *d, int class_bits, uint32_t exact, uint32_t mean, uint32_t near) {
    const uint32_t contexts[VALUE_INPUTS] = {exact, mean, near};
    uint32_t bits = 1;
    uint64_t size = 1;
    if (!decide(d, contexts, 0, 0, 0)) return 0;
    uint32_t sign = decide(d, contexts, 1, 1, 1);
    for (int i = 0; i < class_bits; i++) bits = bits * 2 + decide(d, contexts, 2 + bits + 128 * sign, 2 + bits, 2);
    bits -= 1u << class_bits;
    for (uint32_t i = 0; i < bits; i++) {
        uint32_t node = 256 + bits * 64 + i, prefix = i < 8 ? (bits + 64) * 512 + (uint32_t)size * 2 + sign : node;
        size = size * 2 + decide(d, contexts, prefix, node, 3 + (i < 4 ? i : 4));
    }
    return sign ? -(int64_t)size : (int64_t)size;
}
static void read_segment(Numbers *n, Segment *s, uint32_t position) {
    memset(s, 0, sizeof *s);
    s->start = position + 4 * number(n), s->bytes = 4 * number(n);
    int kind = *raw(n, 1), width = kind >> 2 & 7;
    s->mode = kind & 3, s->bits = width ? 4 << width : 4, s->by_channel = kind >> 5 & 1, s->class_bits = *raw(n, 1);
    s->salt = number(n), s->channel_values = number(n), s->channels = number(n), s->above = number(n), s->before = number(n);
    s->count = (uint32_t)((uint64_t)s->bytes * 8 / s->bits);
    if (s->mode == FLOAT) s->low_bits = *raw(n, 1), s->base = number(n);
    if (s->mode >= LIST) s->entries = number(n), s->zero = number(n), s->peak = s->mode == RATIO ? number(n) : 0;
    if (width > 4 || kind >> 6 || s->class_bits < 1 || s->class_bits > 6 || s->low_bits > 16 || s->low_bits >= s->bits ||
        s->channels < 1 || s->channels > s->count || s->channel_values < 1 || s->channel_values > s->count ||
        s->above >> 28 || s->before >> 28 || s->bytes * 8 % s->bits || (s->mode == FLOAT && s->bits > 32) ||
        (s->mode == RATIO && s->bits != 8) || (s->mode == LIST && s->bits < 8) || s->entries >> 20) n->is_damaged = 1;
    else s->list = raw(n, s->entries * (s->mode == RATIO ? 2 : s->bits / 8));
}
static int64_t ratio(const Segment *s, int64_t place) { return (int16_t)(s->list[2 * place] | s->list[2 * place + 1] << 8); }
static uint64_t stored(Decoder *d, const Segment *s, int mode, int64_t value) { /* a decoded number as in the .tflite */
    if (s->mode == INT || (s->mode == RATIO && !mode)) return (uint64_t)value;
    if (s->mode == FLOAT) {
        uint64_t size = (uint64_t)(value < 0 ? -value : value) - 1 + s->base;
        d->is_damaged |= value && size >> (s->bits - 1 - s->low_bits);
        return !value ? 0 : size << s->low_bits | (value < 0 ? 1ull << (s->bits - 1) : 0);
    }
    int64_t place = value + (int64_t)s->zero;
    uint64_t found = 0;
    if (place < 0 || place >= (int64_t)s->entries) return d->is_damaged = 1, 0;
    if (s->mode == LIST) {
        for (int i = s->bits / 8 - 1; i >= 0; i--) found = found << 8 | s->list[place * (s->bits / 8) + i];
        return found;
    }
    int64_t largest = ratio(s, (mode < 0 ? -mode : mode) - 1), entry = ratio(s, place);
    largest = largest < 0 ? -largest : largest ? largest : 1;
    found = (uint64_t)((2 * (int64_t)s->peak * (entry < 0 ? -entry : entry) + largest) / (2 * largest));
    return (mode < 0) == (entry < 0) ? found : -found;
}
static void segment(Decoder *d, const Segment *s, uint8_t *out, uint8_t *work, uint32_t work_bytes) {
    uint32_t reach = s->above > s->before / 3 ? 3 * s->above : s->before, ring = reach < 3 ? 4 : reach + 1;
    if (14ull * s->channels + 2ull * ring > work_bytes) { d->is_damaged = 1; return; }
    uint64_t *sums = (uint64_t *)work;
    uint32_t *seen = (uint32_t *)(sums + s->channels);
    int16_t *modes = (int16_t *)(seen + s->channels);
    uint16_t *sizes = (uint16_t *)(modes + s->channels); /* of the last values */
    memset(work, 0, 14 * s->channels + 2 * ring);
    for (uint32_t c = 0; c < s->channels && s->mode == RATIO; c++) {
        int64_t mode = value(d, 4, hash2(90, s->salt), hash2(91, c ? (uint32_t)modes[c - 1] & 255 : 0), 92);
        if (mode > 9999 || mode < -9999 || (mode < 0 ? -mode : mode) > (int64_t)s->entries) { d->is_damaged = 1; return; }
        modes[c] = (int16_t)mode;
    }
    if (s->mode == RATIO) learn(d, 1);
    memset(out, 0, s->bytes);
#define SIZE(distance) (uint32_t)sizes[(i - (distance)) % ring]
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t c = i / s->channel_values % s->channels, near = 0;
        near += (i ? 2 * SIZE(1) : 0) + (i > 2 ? SIZE(2) + SIZE(3) : 0);
        if (s->above) near += (i >= s->above ? 2 * SIZE(s->above) : 0);
        if (s->above && i >= 3 * s->above) near += SIZE(2 * s->above) + SIZE(3 * s->above);
        if (s->before && i >= s->before) near += 2 * SIZE(s->before);
        uint32_t mean = (uint32_t)((sums[c] * 16 + 16) / (seen[c] + 1)), size;
        int64_t v = value(d, s->class_bits, mix(hash2(1, s->salt), s->by_channel ? c : (uint32_t)modes[c] & 0xFFFF),
                          hash2(hash2(2, s->salt), magnitude_class(mean)),
                          hash2(hash2(3, s->salt), magnitude_class(near + (mean >> 4))));
        size = v > 0xFFFF || v < -0xFFFF ? 0xFFFF : (uint32_t)(v < 0 ? -v : v);
        uint64_t word = stored(d, s, modes[c], v);
        sizes[i % ring] = (uint16_t)size, sums[c] += size, seen[c]++;
        if (s->bits == 4) out[i / 2] |= (uint8_t)((word & 15) << (i % 2 * 4));
        else for (int k = 0; k < s->bits / 8; k++) out[i * (s->bits / 8) + k] = (uint8_t)(word >> 8 * k);
        if ((i + 1) % CHUNK == 0) learn(d, 1);
    }
    learn(d, 1);
    for (uint32_t i = 0; s->low_bits && i < s->count; i++) { /* numbers of which nothing is known */
        uint32_t low = d->code / (d->range >>= s->low_bits);
        if (low >> s->low_bits) { d->is_damaged = 1; return; }
        d->code -= low * d->range;
        refill(d);
        for (int k = 0; k < s->bits / 8; k++) out[i * (s->bits / 8) + k] |= (uint8_t)(low >> 8 * k);
    }
}
static void start(Decoder *d, int inputs, int32_t weight, uint32_t rate, uint32_t step) { /* structure, then segments */
    memset(d->counts, 0, 4u << d->bits);
    d->inputs = inputs, d->rate = rate, d->step = step, d->decisions = 0, d->block = BLOCK;
    for (int i = 0; i < WEIGHTS; i++) d->weights[i] = weight;
    uint64_t e = 1ull << 32; /* exp(-i / 8) */
    for (int i = 0; i < 90; i++, e = e * 3790295335u >> 32) d->tail[i] = (int32_t)((e << 16) / ((1ull << 32) + e));
    for (uint32_t n = 0; n < 256; n++) { /* 256 ln(n + 0.4) plus a constant, by squaring */
        uint64_t x = 5 * n + 2;
        int32_t log2 = 30 << 12;
        for (; x < 1u << 30; x <<= 1) log2 -= 1 << 12;
        for (int place = 11; place >= 0; place--)
            if ((x = x * x >> 30) >= 1u << 31) x >>= 1, log2 |= 1 << place;
        d->logarithms[n] = (int32_t)((int64_t)log2 * 45426 >> 20);
    }
}
uint32_t lwc_size(const uint8_t *coded, uint32_t n) {
    if (n < HEADER || memcmp(coded, "LWC1", 4) || crc32_of(coded + 8, n - 8) != u32(coded + 4)) return 0;
    uint32_t size = u32(coded + 8);
    return coded[18] < 10 || coded[18] > 22 || size > 0x7FFFFFFF || size / MAX_RATIO > n ? 0 : size;
}
uint32_t lwc_workspace(const uint8_t *coded, uint32_t n) {
    if (!lwc_size(coded, n)) return 0;
    return (uint32_t)sizeof(Decoder) + (4u << coded[18]) + (4u << MATCH_BITS) + 1024u * (coded[16] | coded[17] << 8);
}
int lwc_decode(const uint8_t *coded, uint32_t n, uint8_t *tflite, uint32_t capacity, void *work, uint32_t work_bytes) {
    uint32_t size = lwc_size(coded, n), needed = lwc_workspace(coded, n), total = 0, at = 0;
    if (!needed || capacity < size || work_bytes < needed) return needed ? LWC_BUFFER_TOO_SMALL : LWC_NOT_CODED;
    Decoder *d = memset(work, 0, needed);
    d->counts = (uint16_t (*)[2])(d + 1), d->bits = coded[18], d->last = (uint32_t *)(d->counts + (1u << d->bits));
    uint8_t *plan = (uint8_t *)(d->last + (1u << MATCH_BITS)), *end = (uint8_t *)work + needed, length[4];
    d->in = coded + HEADER, d->end = coded + n, d->range = 1;
    refill(d);
    start(d, TEXT_INPUTS, TEXT_WEIGHT, TEXT_RATE, TEXT_STEP);
    text(d, length, 4, 0, 0);
    if (u32(length) % 8 || u32(length) > (uint32_t)(end - plan)) return LWC_DAMAGED;
    text(d, plan, u32(length), 0, 0);
    Numbers reader = {plan, plan + u32(length), 0}, again;
    uint8_t *memory = plan + u32(length), *structure;
    uint32_t segments = number(&reader);
    Segment s;
    again = reader;
    for (uint32_t i = 0; i < segments; i++) {
        read_segment(&reader, &s, at);
        if (reader.is_damaged || s.start < at || s.start > size || s.bytes > size - s.start) return LWC_DAMAGED;
        at = s.start + s.bytes, total += s.bytes;
    }
    structure = tflite + total; /* at the end of the file, so that its parts only move down */
    text(d, structure, size - total, &reader, number(&reader));
    d->bits = d->bits > VALUE_TABLE_BITS ? VALUE_TABLE_BITS : d->bits;
    start(d, VALUE_INPUTS, VALUE_WEIGHT, VALUE_RATE, VALUE_STEP);
    for (uint32_t i = at = 0; i < segments && !d->is_damaged; i++) {
        read_segment(&again, &s, at);
        memmove(tflite + at, structure, s.start - at);
        structure += s.start - at, at = s.start + s.bytes;
        segment(d, &s, tflite + s.start, memory, (uint32_t)(end - memory));
    }
    return d->is_damaged || crc32_of(tflite, size) != u32(coded + 12) ? LWC_DAMAGED : LWC_OK;
}
