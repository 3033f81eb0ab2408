/* Reading a transport-wide feedback: what rtcp.read_transport_feedback does. */
#include "native.h"

enum { HEAD = 16 }; /* bytes before the packet status chunks */

/* Read packet status chunks (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1.3, §3.1.4) into symbols of 0 to 3;
 * returns where they end, or NONE. */
static int read_symbols(const unsigned char *body, int size, int count, unsigned char *symbols)
{
    int read = 0, at = HEAD;

    while (read < count) {
        unsigned int chunk;
        if (at + 2 > size)
            return NONE;
        chunk = get16(body + at);
        at += 2;
        if (!(chunk & 0x8000)) {
            for (int run = chunk & 0x1FFF; run && read < count; run--)
                symbols[read++] = (unsigned char)(chunk >> 13 & 3);
        } else if (chunk & 0x4000) {
            for (int shift = 12; shift >= 0 && read < count; shift -= 2)
                symbols[read++] = (unsigned char)(chunk >> shift & 3);
        } else {
            for (int shift = 13; shift >= 0 && read < count; shift--)
                symbols[read++] = (unsigned char)(chunk >> shift & 1);
        }
    }
    return at;
}

int read_feedback(const unsigned char *body, int size, Told *told)
{
    unsigned char symbols[MAX_FEEDBACK];
    long long clock;
    int at;

    if (size < HEAD + 2 || (told->count = (int)get16(body + 10)) > MAX_FEEDBACK)
        return -1;
    at = read_symbols(body, size, told->count, symbols);
    if (at == NONE)
        return -1;
    told->base = get16(body + 8);
    clock = 64000LL * ((long long)body[12] << 16 | get16(body + 13));
    for (int i = 0; i < told->count; i++) {
        int bytes = symbols[i] == 1 ? 1 : symbols[i] == 2 ? 2 : 0;
        if (at + bytes > size)
            return -1;
        if (bytes)
            clock += 250 * (bytes == 1 ? body[at] : (int16_t)get16(body + at));
        told->arrivals[i] = bytes ? clock : LOST;
        at += bytes;
    }
    return 0;
}
