/* What a transport-wide feedback says of what an outlet has sent: what acknowledged.py does. */
#include "native.h"

enum {
    HEAD = 16,            /* bytes before the packet status chunks */
    MAX_FEEDBACK = 8192,  /* as rtcp.MAX_FEEDBACK */
    LOST = -1,
};

#define GROUP_MS 5.0 /* as acknowledged.GROUP_MS */

/* A feedback's packets: arrival times in microseconds by the receiver's clock, LOST where there is none. */
typedef struct {
    int count;
    long long arrivals[MAX_FEEDBACK];
} Told;

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

/* Read a feedback's body, which begins with its sender's SSRC. Returns -1 where it is none. */
static int read_feedback(const unsigned char *body, int size, Told *told)
{
    unsigned char symbols[MAX_FEEDBACK];
    long long clock;
    int at;

    if (size < HEAD + 2 || (told->count = (int)get16(body + 10)) > MAX_FEEDBACK)
        return -1;
    at = read_symbols(body, size, told->count, symbols);
    if (at == NONE)
        return -1;
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

static int add_group(PyObject *groups, const double *group)
{
    PyObject *made = Py_BuildValue("(dddd)", group[0], group[1], group[2], group[3]);
    int failed = made == NULL || PyList_Append(groups, made) < 0;

    Py_XDECREF(made);
    return failed ? -1 : 0;
}

typedef struct {
    long long received, lost, octets;
} Counts;

/* Gather what has arrived by groups that left together. `begun`: when the group left that is still open, or below 0. */
static int gather(const Outlet *self, const Told *told, long long base, long long since, double begun, PyObject *groups,
                  Counts *counts)
{
    double group[4] = {begun, begun, 0, 0};
    int is_open = begun >= 0;

    for (int i = 0; i < told->count; i++) {
        long long number = base + i;
        int known = number >= 0 && number < self->number && number >= self->number - SENT;
        double sent = known ? 1000 * self->at[number % SENT] : 0, arrived = (double)told->arrivals[i] / 1000;
        int size = known ? self->size[number % SENT] : 0;
        counts->octets += size;
        counts->lost += told->arrivals[i] == LOST && number >= since;
        if (told->arrivals[i] == LOST || !size)
            continue;
        counts->received++;
        if (!is_open || sent - group[0] > GROUP_MS) {
            if (is_open && group[3] && add_group(groups, group) < 0)
                return -1;
            group[0] = group[1] = sent;
            group[2] = arrived;
            group[3] = 0;
            is_open = 1;
        }
        group[3] += size;
        group[1] = sent > group[1] ? sent : group[1];
        group[2] = arrived > group[2] || group[3] == size ? arrived : group[2];
    }
    return is_open && group[3] ? add_group(groups, group) : 0;
}

/* List the packets one by one: (arrival in microseconds or None, sent in seconds, bytes). */
static PyObject *one_by_one(const Outlet *self, const Told *told, long long base)
{
    PyObject *packets = PyList_New(told->count);

    for (int i = 0; packets != NULL && i < told->count; i++) {
        long long number = base + i;
        int known = number >= 0 && number < self->number && number >= self->number - SENT;
        double sent = known ? self->at[number % SENT] : 0;
        int size = known ? self->size[number % SENT] : 0;
        PyObject *packet = told->arrivals[i] == LOST ? Py_BuildValue("(Odi)", Py_None, sent, size)
                                                     : Py_BuildValue("(Ldi)", told->arrivals[i], sent, size);
        if (packet == NULL)
            Py_CLEAR(packets);
        else
            PyList_SET_ITEM(packets, i, packet);
    }
    return packets;
}

PyObject *outlet_acknowledge(Outlet *self, PyObject *arguments)
{
    Py_buffer body;
    long long since, base;
    double begun;
    int wants_packets, failed;
    Told told;
    Counts counts = {0, 0, 0};
    PyObject *groups, *packets;

    if (!PyArg_ParseTuple(arguments, "y*Ldp", &body, &since, &begun, &wants_packets))
        return NULL;
    failed = body.len > MAX_PACKET || read_feedback(body.buf, (int)body.len, &told) < 0;
    base = failed ? 0 : self->number - 1 - ((self->number - 1 - (long long)get16((unsigned char *)body.buf + 8)) & 0xFFFF);
    PyBuffer_Release(&body);
    if (failed) {
        PyErr_SetString(PyExc_ValueError, "it is no transport-wide feedback");
        return NULL;
    }
    groups = PyList_New(0);
    if (groups == NULL || gather(self, &told, base, since, begun, groups, &counts) < 0) {
        Py_XDECREF(groups);
        return NULL;
    }
    packets = wants_packets ? one_by_one(self, &told, base) : PyList_New(0);
    if (packets == NULL) {
        Py_DECREF(groups);
        return NULL;
    }
    return Py_BuildValue("(LLLLLNN)", base, base + told.count, counts.received, counts.lost, counts.octets, groups,
                         packets);
}
