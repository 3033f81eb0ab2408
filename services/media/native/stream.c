/* One source (SSRC) of a publisher's: what stream.py does. */
#include "native.h"

enum {
    HISTORY = 512,     /* as stream.HISTORY */
    LEVEL_ID = 1,      /* as stream.LEVEL_ID; a test compares them */
    SILENCE = 127,
    RTX_OVERHEAD = 2,
    ONE_BYTE_PROFILE = 0xBEDE,
    LAID_OUT = MIN_HEADER + 4, /* before the header extensions' elements */
};

/* A packet as it was forwarded; `size` is 0 where there is none. */
typedef struct {
    long long extended;
    uint32_t timestamp;
    uint16_t size, capacity, payload_at, picture_at, tl0_at;
    uint8_t is_wide;
    unsigned char *data;
} Kept;

struct Stream {
    PyObject_HEAD
    Fanout *fanout;
    PyObject *lanes, *on_packet;
    double clock_rate, jitter, transit, last_at;
    long long highest, first;
    unsigned long long packets, octets, frames;
    unsigned int timestamp;
    int picture, tl0, level;
    char is_watched, is_vp8, has_transit;
    int16_t payload_types[128];  /* ours, NONE for those that are not read */
    uint8_t extensions[16];      /* ours, 0 for those that are not forwarded */
    int transport_extension;
    Kept history[HISTORY];
};

/* Measure the header: fixed part, CSRCs and extension; NONE where it is none. */
static int header_length(const unsigned char *data, int size)
{
    int length;

    if (size < MIN_HEADER || data[0] >> 6 != 2)
        return NONE;
    length = MIN_HEADER + 4 * (data[0] & 0x0F);
    if (data[0] & 0x10) {
        if (size < length + 4)
            return NONE;
        length += 4 + 4 * (int)get16(data + length + 2);
    }
    return size < length ? NONE : length;
}

/* Copy the elements that are forwarded to `into`; returns how many bytes, or NONE where they are no such elements. */
static int copy_elements(const Stream *self, const unsigned char *data, int at, int end, unsigned char *into,
                         int *transport, int *level)
{
    int size = 0;

    while (at < end) {
        int identifier = data[at] >> 4, length = (data[at] & 0x0F) + 1, ours;
        if (data[at] == 0) {
            at++;
            continue;
        }
        if (identifier == 15)
            break;
        if (at + 1 + length > end)
            return NONE;
        ours = self->extensions[identifier];
        if (identifier == self->transport_extension && length == 2) {
            *transport = (int)get16(data + at + 1);
        } else if (ours) {
            into[size] = (unsigned char)(ours << 4 | (length - 1));
            memcpy(into + size + 1, data + at + 1, (size_t)length);
            if (ours == LEVEL_ID && *level == NONE)
                *level = data[at + 1] & 0x7F;
            size += 1 + length;
        }
        at += 1 + length;
    }
    return size;
}

/* Lay a packet out as rtp.rebuild does. Returns its size, or NONE. */
static int lay_out(const Stream *self, const unsigned char *data, int size, unsigned char *into, int *payload_at,
                   int *transport, int *level)
{
    int length = header_length(data, size), elements = 3, payload_type;

    if (length == NONE || (payload_type = self->payload_types[data[1] & 0x7F]) == NONE)
        return NONE;
    into[LAID_OUT] = TRANSPORT_SEQUENCE_ID << 4 | 1;
    into[LAID_OUT + 1] = into[LAID_OUT + 2] = 0;
    if (data[0] & 0x10) {
        int at = MIN_HEADER + 4 * (data[0] & 0x0F);
        if (get16(data + at) == ONE_BYTE_PROFILE) {
            int copied = copy_elements(self, data, at + 4, length, into + LAID_OUT + 3, transport, level);
            if (copied == NONE)
                return NONE;
            elements += copied;
        }
    }
    while (elements % 4)
        into[LAID_OUT + elements++] = 0;
    into[0] = (unsigned char)(0x90 | (data[0] & 0x20));
    into[1] = (unsigned char)((data[1] & 0x80) | payload_type);
    memcpy(into + 2, data + 2, MIN_HEADER - 2);
    put16(into + MIN_HEADER, ONE_BYTE_PROFILE);
    put16(into + MIN_HEADER + 2, (unsigned int)elements / 4);
    *payload_at = LAID_OUT + elements;
    size = *payload_at + size - length;
    if (size + RTX_OVERHEAD > MAX_SRTP_PACKET)
        return NONE;
    memcpy(into + *payload_at, data + length, (size_t)(size - *payload_at));
    return size;
}

/* Find VP8's running numbers as payload.vp8_numbers does. */
static void find_numbers(Kept *kept, const unsigned char *data)
{
    int at = kept->payload_at, end = kept->size, picture_at = 0, is_wide = 0, tl0_at, flags;

    kept->picture_at = kept->tl0_at = kept->is_wide = 0;
    if (at + 3 > end || !(data[at] & 0x80))
        return;
    flags = data[at + 1];
    at += 2;
    if (flags & 0x80) {
        picture_at = at;
        is_wide = data[at] >> 7;
        at += is_wide ? 2 : 1;
    }
    tl0_at = flags & 0x40 ? at : 0;
    if (at + (tl0_at != 0) > end)
        return;
    kept->picture_at = (uint16_t)picture_at;
    kept->is_wide = (uint8_t)is_wide;
    kept->tl0_at = (uint16_t)tl0_at;
}

/* Count a packet as RFC 3550 appendix A does; returns its extended sequence number. */
static long long count_packet(Stream *self, unsigned int sequence, uint32_t timestamp, double now)
{
    int step;

    self->packets++;
    self->last_at = now;
    if (self->packets == 1)
        return self->first = self->highest = (long long)sequence + 0x10000;
    step = (int)((sequence - (unsigned int)self->highest + 0x8000) & 0xFFFF) - 0x8000;
    if (step > 0) {
        double transit = now * self->clock_rate - timestamp;
        double difference = transit > self->transit ? transit - self->transit : self->transit - transit;
        if (self->has_transit && difference < self->clock_rate)
            self->jitter += (difference - self->jitter) / 16;
        self->transit = transit;
        self->has_transit = 1;
        self->highest += step;
        return self->highest;
    }
    return self->highest + step;
}

/* Put a laid-out packet into the history; NULL with an exception where there is no memory. */
static Kept *keep(Stream *self, long long extended, const unsigned char *data, int size, int payload_at)
{
    Kept *kept = &self->history[extended % HISTORY];

    if (kept->capacity < size) {
        unsigned char *grown = PyMem_RawRealloc(kept->data, (size_t)size);
        if (grown == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
        kept->data = grown;
        kept->capacity = (uint16_t)size;
    }
    memcpy(kept->data, data, (size_t)size);
    kept->size = (uint16_t)size;
    kept->payload_at = (uint16_t)payload_at;
    kept->extended = extended;
    kept->timestamp = get32(data + 4);
    kept->picture_at = kept->tl0_at = kept->is_wide = 0;
    if (self->is_vp8)
        find_numbers(kept, data);
    self->octets += (unsigned long long)(size - payload_at);
    if (extended == self->highest) {
        self->frames += kept->timestamp != self->timestamp;
        self->timestamp = kept->timestamp;
        if (kept->picture_at) {
            const unsigned char *at = data + kept->picture_at;
            self->picture = kept->is_wide ? (int)(get16(at) & 0x7FFF) : at[0] & 0x7F;
        }
        if (kept->tl0_at)
            self->tl0 = data[kept->tl0_at];
    }
    return kept;
}

static PyObject *as_python(const Stream *self, const Kept *kept)
{
    PyObject *packet = PyByteArray_FromStringAndSize((const char *)kept->data, kept->size);

    if (packet == NULL)
        return NULL;
    return PyObject_CallFunction(self->fanout->kept, "LNiIiii", kept->extended, packet, (int)kept->payload_at,
                                 kept->timestamp, (int)kept->picture_at, (int)kept->is_wide, (int)kept->tl0_at);
}

static int hand_over(Stream *self, const Kept *kept, long long before, double now)
{
    PyObject *shown = as_python(self, kept), *result;

    if (shown == NULL)
        return -1;
    result = PyObject_CallFunction(self->on_packet, "NLd", shown, before, now);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

int stream_take(Stream *self, const unsigned char *data, int size, double now)
{
    unsigned char laid_out[MAX_DATAGRAM + LAID_OUT + 8];
    int payload_at = 0, transport = NO_NUMBER, level = NONE;
    long long before = self->highest, extended;
    Kept *kept;

    if (size > MAX_DATAGRAM || (size = lay_out(self, data, size, laid_out, &payload_at, &transport, &level)) == NONE)
        return INVALID;
    extended = count_packet(self, get16(laid_out + 2), get32(laid_out + 4), now);
    kept = keep(self, extended, laid_out, size, payload_at);
    if (kept == NULL)
        return RAISED;
    if (level != NONE)
        self->level = level;
    if ((self->is_watched || extended != before + 1) && hand_over(self, kept, before, now) < 0)
        return RAISED;
    if (PyList_GET_SIZE(self->lanes)) {
        Packet packet = {laid_out, size, extended, kept->timestamp, kept->picture_at, kept->is_wide, kept->tl0_at, now};
        if (forward_packet(self->fanout, &packet, self->lanes) < 0)
            return RAISED;
    }
    return transport;
}

static PyObject *stream_receive(Stream *self, PyObject *arguments)
{
    Py_buffer data;
    double now;
    int number;

    if (!PyArg_ParseTuple(arguments, "y*d", &data, &now))
        return NULL;
    number = data.len > MAX_DATAGRAM ? INVALID : stream_take(self, data.buf, (int)data.len, now);
    PyBuffer_Release(&data);
    if (number == RAISED)
        return NULL;
    if (number == INVALID) {
        PyErr_SetNone(self->fanout->invalid);
        return NULL;
    }
    return PyLong_FromLong(number);
}

static PyObject *stream_kept(Stream *self, PyObject *number)
{
    long long extended = PyLong_AsLongLong(number);
    const Kept *kept;

    if (extended == -1 && PyErr_Occurred())
        return NULL;
    if (extended < 0)
        Py_RETURN_NONE;
    kept = &self->history[extended % HISTORY];
    if (!kept->size || kept->extended != extended)
        Py_RETURN_NONE;
    return as_python(self, kept);
}

/* Read {small number: small number}. */
static int read_map(PyObject *mapping, long most, int16_t *narrow, uint8_t *bytes)
{
    PyObject *items = PyMapping_Items(mapping);

    for (Py_ssize_t i = 0; items != NULL && i < PyList_GET_SIZE(items); i++) {
        int theirs, ours;
        if (!PyArg_ParseTuple(PyList_GET_ITEM(items, i), "ii", &theirs, &ours))
            Py_CLEAR(items);
        else if (theirs < 0 || theirs > most || ours < 0 || ours > most)
            continue; /* no packet can have it */
        else if (narrow != NULL)
            narrow[theirs] = (int16_t)ours;
        else
            bytes[theirs] = (uint8_t)ours;
    }
    if (items == NULL)
        return -1;
    Py_DECREF(items);
    return 0;
}

static PyObject *stream_read_by(Stream *self, PyObject *arguments)
{
    PyObject *payload_types, *extensions;
    int transport;

    if (!PyArg_ParseTuple(arguments, "OOi", &payload_types, &extensions, &transport))
        return NULL;
    for (int i = 0; i < 128; i++)
        self->payload_types[i] = NONE;
    memset(self->extensions, 0, sizeof self->extensions);
    if (read_map(payload_types, 127, self->payload_types, NULL) < 0 || read_map(extensions, 14, NULL, self->extensions) < 0)
        return NULL;
    self->transport_extension = transport;
    Py_RETURN_NONE;
}

PyObject *fanout_stream(Fanout *fanout, PyObject *arguments)
{
    int clock_rate, is_vp8;
    PyObject *on_packet;
    double last_at;
    Stream *self;

    if (!PyArg_ParseTuple(arguments, "ipOd", &clock_rate, &is_vp8, &on_packet, &last_at))
        return NULL;
    self = PyObject_GC_New(Stream, &StreamType);
    if (self == NULL)
        return NULL;
    memset((char *)self + offsetof(Stream, fanout), 0, sizeof *self - offsetof(Stream, fanout));
    self->fanout = (Fanout *)Py_NewRef(fanout);
    self->on_packet = Py_NewRef(on_packet);
    self->clock_rate = clock_rate;
    self->is_vp8 = (char)is_vp8;
    self->last_at = last_at;
    self->highest = -1;
    self->level = SILENCE;
    for (int i = 0; i < 128; i++)
        self->payload_types[i] = NONE;
    self->lanes = PyList_New(0);
    PyObject_GC_Track(self);
    if (self->lanes == NULL)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static int stream_traverse(Stream *self, visitproc visit, void *arg) /* Py_VISIT wants that name */
{
    Py_VISIT(self->fanout);
    Py_VISIT(self->lanes);
    Py_VISIT(self->on_packet);
    return 0;
}

static int stream_clear(Stream *self)
{
    Py_CLEAR(self->on_packet); /* what else it holds knows nothing of it */
    return 0;
}

static void stream_dealloc(Stream *self)
{
    PyObject_GC_UnTrack(self);
    stream_clear(self);
    Py_XDECREF(self->lanes);
    Py_XDECREF(self->fanout);
    for (int i = 0; i < HISTORY; i++)
        PyMem_RawFree(self->history[i].data);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMemberDef stream_members[] = {
    {"lanes", T_OBJECT_EX, offsetof(Stream, lanes), READONLY, NULL},
    {"is_watched", T_BOOL, offsetof(Stream, is_watched), 0, NULL},
    {"highest", T_LONGLONG, offsetof(Stream, highest), READONLY, NULL},
    {"first", T_LONGLONG, offsetof(Stream, first), READONLY, NULL},
    {"packets", T_ULONGLONG, offsetof(Stream, packets), READONLY, NULL},
    {"octets", T_ULONGLONG, offsetof(Stream, octets), READONLY, NULL},
    {"frames", T_ULONGLONG, offsetof(Stream, frames), READONLY, NULL},
    {"timestamp", T_UINT, offsetof(Stream, timestamp), READONLY, NULL},
    {"picture", T_INT, offsetof(Stream, picture), READONLY, NULL},
    {"tl0", T_INT, offsetof(Stream, tl0), READONLY, NULL},
    {"jitter", T_DOUBLE, offsetof(Stream, jitter), READONLY, NULL},
    {"level", T_INT, offsetof(Stream, level), 0, NULL},
    {"last_at", T_DOUBLE, offsetof(Stream, last_at), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};
static PyMethodDef stream_methods[] = {
    {"read_by", (PyCFunction)stream_read_by, METH_VARARGS, NULL},
    {"receive", (PyCFunction)stream_receive, METH_VARARGS, NULL},
    {"kept", (PyCFunction)stream_kept, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};
PyTypeObject StreamType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "services.media._native.Stream",
    .tp_basicsize = sizeof(Stream),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = (destructor)stream_dealloc,
    .tp_traverse = (traverseproc)stream_traverse,
    .tp_clear = (inquiry)stream_clear,
    .tp_free = PyObject_GC_Del,
    .tp_members = stream_members,
    .tp_methods = stream_methods,
};
