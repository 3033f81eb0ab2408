/* What is told to a publisher of when its packets came: what arrivals.py does, and rtcp.transport_feedback. */
#include "native.h"

#include <math.h>

enum {
    FEEDBACK_LIMIT = 200, /* as arrivals.FEEDBACK_LIMIT */
    FEEDBACK_SPAN = 500,  /* as arrivals.FEEDBACK_SPAN */
    MAX_JUMP = 2000,      /* as arrivals.MAX_JUMP */
    SYMBOLS = 7,          /* of two bits in one chunk */
    LONGEST = 20 + 2 * (FEEDBACK_SPAN / SYMBOLS + 1) + 2 * FEEDBACK_LIMIT + 4,
};

void arrivals_note(Arrivals *self, int number, double now)
{
    int step;

    if (self->highest < 0)
        self->highest = number + 0x10000;
    step = (int)(((unsigned int)number - (unsigned int)self->highest + 0x8000) & 0xFFFF) - 0x8000;
    if (step > MAX_JUMP || step < -MAX_JUMP)
        self->waiting = 0;
    if (self->waiting < MAX_ARRIVALS)
        self->list[self->waiting++] = (Arrival){self->highest + step, now};
    if (step > 0)
        self->highest += step;
}

/* Sort by number, in place; those of one number stay in order. They come almost sorted. */
static void sort(Arrivals *self)
{
    for (int i = 1; i < self->waiting; i++) {
        Arrival moved = self->list[i];
        int at = i;
        for (; at > 0 && self->list[at - 1].number > moved.number; at--)
            self->list[at] = self->list[at - 1];
        self->list[at] = moved;
    }
}

/* Write one feedback packet (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1) of sorted arrivals. */
static PyObject *write_feedback(const Arrival *list, int count, uint32_t media_ssrc, unsigned int feedback_count)
{
    unsigned char packet[LONGEST] = {0}, symbols[FEEDBACK_SPAN + 1] = {0}, deltas[2 * FEEDBACK_LIMIT];
    int span = (int)(list[count - 1].number - list[0].number) + 1, size = 20, delta_size = 0, padding;
    long long reference = (long long)(list[0].at * 1000) / 64, clock = reference * 64000;

    for (int i = 0; i < count; i++) {
        double ticks = nearbyint((list[i].at * 1e6 - (double)clock) / 250);
        int written = ticks > 32767 ? 32767 : ticks < -32768 ? -32768 : (int)ticks;
        int is_small = written >= 0 && written <= 255;
        clock += 250LL * written;
        symbols[list[i].number - list[0].number] = is_small ? 1 : 2;
        if (!is_small)
            deltas[delta_size++] = (unsigned char)(written >> 8);
        deltas[delta_size++] = (unsigned char)written;
    }
    put32(packet + 4, 1);
    put32(packet + 8, media_ssrc);
    put16(packet + 12, (unsigned int)list[0].number);
    put16(packet + 14, (unsigned int)span);
    packet[16] = (unsigned char)(reference >> 16);
    put16(packet + 17, (unsigned int)reference);
    packet[19] = (unsigned char)feedback_count;
    for (int at = 0; at < span; at += SYMBOLS) {
        unsigned int chunk = 0xC000;
        for (int i = 0; i < SYMBOLS && at + i < span; i++)
            chunk |= (unsigned int)symbols[at + i] << (12 - 2 * i);
        put16(packet + size, chunk);
        size += 2;
    }
    memcpy(packet + size, deltas, (size_t)delta_size);
    size += delta_size;
    padding = -size & 3;
    if (padding)
        packet[size + padding - 1] = (unsigned char)padding;
    size += padding;
    packet[0] = (unsigned char)(0x80 | (padding ? 0x20 : 0) | 15);
    packet[1] = 205;
    put16(packet + 2, (unsigned int)size / 4 - 1);
    return PyBytes_FromStringAndSize((const char *)packet, size);
}

static int append(PyObject *packets, Arrivals *self, int begin, int end, uint32_t media_ssrc)
{
    PyObject *packet = write_feedback(self->list + begin, end - begin, media_ssrc, self->count);
    int failed = packet == NULL || PyList_Append(packets, packet) < 0;

    self->count++;
    Py_XDECREF(packet);
    return failed ? -1 : 0;
}

PyObject *arrivals_take(Arrivals *self, uint32_t media_ssrc)
{
    PyObject *packets = PyList_New(0);
    int begin = 0, end = 0; /* of a part, in what is left without repetition */

    if (packets == NULL)
        return NULL;
    sort(self);
    for (int i = 0; i < self->waiting; i++) {
        Arrival *next = &self->list[i];
        if (end > begin && next->number == self->list[end - 1].number)
            continue;
        if (end - begin == FEEDBACK_LIMIT || (end > begin && next->number - self->list[begin].number > FEEDBACK_SPAN - 1)) {
            if (append(packets, self, begin, end, media_ssrc) < 0)
                break;
            begin = end;
        }
        self->list[end++] = *next;
    }
    self->waiting = 0;
    if (!PyErr_Occurred() && end > begin)
        append(packets, self, begin, end, media_ssrc);
    if (PyErr_Occurred())
        Py_CLEAR(packets);
    return packets;
}
