/* The way in: what inlet.py does for one peer, and reading the socket for all. */
#include "native.h"

#include <errno.h>
#include <time.h>

enum {
    MAX_SOURCES = 64,    /* as inlet.MAX_SOURCES */
    FEW_SOURCES = 8,
    KEY = 18,            /* an IPv6 address and a port */
    RTPFB = 205,         /* as rtcp.RTPFB */
    TRANSPORT_CC = 15,   /* as rtcp.TRANSPORT_CC */
};

typedef struct {
    uint32_t ssrc;
    Stream *stream; /* NULL: its packets go to `on_rtp` */
} Source;

/* One peer's way in. */
typedef struct {
    PyObject_HEAD
    PyObject *srtp; /* keeps `context` alive */
    void *context;
    PyObject *on_rtp, *on_rtcp;
    Acknowledged *acknowledged;
    Fanout *fanout;
    unsigned long long packets, octets, early, unprotected, unprotected_rtcp, invalid, invalid_rtcp;
    int max_sources, source_count, source_room;
    Source *sources; /* by SSRC */
    Arrivals arrivals;
} Inlet;

/* Find where a source is, or would be. */
static int source_place(Inlet *self, uint32_t ssrc)
{
    int low = 0, high = self->source_count;

    while (low < high) {
        int middle = (low + high) / 2;
        if (self->sources[middle].ssrc < ssrc)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static Source *find_source(Inlet *self, uint32_t ssrc)
{
    int place = source_place(self, ssrc);

    return place < self->source_count && self->sources[place].ssrc == ssrc ? &self->sources[place] : NULL;
}

/* Add a source that is not known. Returns NULL with an exception set when there is no memory. */
static Source *add_source(Inlet *self, uint32_t ssrc)
{
    int place = source_place(self, ssrc);
    Source *source;

    if (self->source_count == self->source_room) {
        int room = self->source_room ? 2 * self->source_room : FEW_SOURCES;
        Source *more = PyMem_Realloc(self->sources, (size_t)room * sizeof *more);
        if (more == NULL)
            return (Source *)PyErr_NoMemory();
        self->sources = more;
        self->source_room = room;
    }
    source = &self->sources[place];
    memmove(source + 1, source, (size_t)(self->source_count++ - place) * sizeof *source);
    *source = (Source){ssrc, NULL};
    return source;
}

static int tell(PyObject *listener, const unsigned char *data, int size)
{
    PyObject *result = PyObject_CallFunction(listener, "y#", (const char *)data, (Py_ssize_t)size);

    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* Take an RTP packet, in place. Returns -1 with an exception set, else 0. */
static int take_rtp(Inlet *self, unsigned char *data, int size, double now)
{
    uint32_t ssrc = get32(data + 8);
    Source *source = find_source(self, ssrc);
    Stream *stream;
    int number;

    if (source == NULL && self->source_count >= self->max_sources) {
        self->invalid++;
        return 0;
    }
    if (self->fanout->unprotect(self->context, data, &size) != 0) {
        self->unprotected++;
        return 0;
    }
    self->packets++;
    self->octets += (unsigned long long)size;
    if (source == NULL && (source = add_source(self, ssrc)) == NULL)
        return -1;
    if (source->stream == NULL)
        return tell(self->on_rtp, data, size);
    stream = (Stream *)Py_NewRef((PyObject *)source->stream); /* it may be disconnected by what hears of the packet */
    number = stream_take(stream, data, size, now);
    Py_DECREF((PyObject *)stream);
    if (number == INVALID)
        self->invalid++;
    else if (number >= 0)
        arrivals_note(&self->arrivals, number, now);
    return number == RAISED ? -1 : 0;
}

/* As rtcp.lone_feedback: tell whether a packet is one transport-wide feedback and nothing else. */
static int is_lone_feedback(const unsigned char *data, int size)
{
    int is_one = size >= 4 && (data[0] & 0xDF) == (0x80 | TRANSPORT_CC) && data[1] == RTPFB;

    return is_one && 4 * (int)get16(data + 2) == size - 4;
}

/* Take RTCP that is authentic. Returns -1 with an exception set, else 0. */
static int take_rtcp(Inlet *self, const unsigned char *data, int size)
{
    int taken;

    if (self->acknowledged == NULL || !is_lone_feedback(data, size))
        return tell(self->on_rtcp, data, size);
    taken = acknowledged_take(self->acknowledged, data + 4, size - 4);
    self->invalid_rtcp += taken == INVALID;
    return taken == RAISED ? -1 : 0;
}

/* Take an SRTP or SRTCP datagram of at least 12 bytes, in place. Returns -1 with an exception set, else 0. */
static int take(Inlet *self, unsigned char *data, int size, double now)
{
    int is_rtcp = data[1] >= 192 && data[1] <= 223;

    if (self->context == NULL) {
        self->early++;
        return 0;
    }
    if (!is_rtcp)
        return take_rtp(self, data, size, now);
    if (self->fanout->unprotect_rtcp(self->context, data, &size) != 0) {
        self->unprotected_rtcp++;
        return 0;
    }
    return take_rtcp(self, data, size);
}

static PyObject *inlet_receive(Inlet *self, PyObject *arguments)
{
    unsigned char data[MAX_DATAGRAM];
    Py_buffer datagram;
    double now;
    int failed;

    if (!PyArg_ParseTuple(arguments, "y*d", &datagram, &now))
        return NULL;
    if (datagram.len < MIN_HEADER || datagram.len > MAX_DATAGRAM) {
        PyBuffer_Release(&datagram);
        self->invalid++;
        Py_RETURN_NONE;
    }
    memcpy(data, datagram.buf, (size_t)datagram.len);
    failed = take(self, data, (int)datagram.len, now) < 0;
    PyBuffer_Release(&datagram);
    return failed ? NULL : Py_NewRef(Py_None);
}

static PyObject *inlet_connect(Inlet *self, PyObject *arguments)
{
    unsigned int ssrc;
    PyObject *stream;
    Source *source;

    if (!PyArg_ParseTuple(arguments, "IO", &ssrc, &stream))
        return NULL;
    if (stream != Py_None && !Py_IS_TYPE(stream, &StreamType)) {
        PyErr_SetString(PyExc_TypeError, "a stream of another fan-out");
        return NULL;
    }
    source = find_source(self, ssrc);
    if (source == NULL && self->source_count >= self->max_sources) {
        PyErr_SetString(PyExc_ValueError, "too many sources");
        return NULL;
    }
    if (source == NULL && (source = add_source(self, ssrc)) == NULL)
        return NULL;
    stream = stream == Py_None ? NULL : Py_NewRef(stream);
    Py_XSETREF(source->stream, (Stream *)stream);
    Py_RETURN_NONE;
}

static PyObject *inlet_expect(Inlet *self, PyObject *arguments)
{
    unsigned int ssrc;

    if (!PyArg_ParseTuple(arguments, "I", &ssrc))
        return NULL;
    if (find_source(self, ssrc) == NULL && add_source(self, ssrc) == NULL)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *inlet_forget(Inlet *self, PyObject *arguments)
{
    unsigned int ssrc;
    Source *source;
    Stream *stream;

    if (!PyArg_ParseTuple(arguments, "I", &ssrc))
        return NULL;
    if ((source = find_source(self, ssrc)) != NULL) {
        stream = source->stream;
        self->source_count--;
        memmove(source, source + 1, (size_t)(self->sources + self->source_count - source) * sizeof *source);
        Py_XDECREF((PyObject *)stream);
    }
    Py_RETURN_NONE;
}

static PyObject *inlet_note_arrival(Inlet *self, PyObject *arguments)
{
    int number;
    double now;

    if (!PyArg_ParseTuple(arguments, "id", &number, &now))
        return NULL;
    arrivals_note(&self->arrivals, number & 0xFFFF, now);
    Py_RETURN_NONE;
}

static PyObject *inlet_take_feedback(Inlet *self, PyObject *arguments)
{
    unsigned int media_ssrc;

    if (!PyArg_ParseTuple(arguments, "I", &media_ssrc))
        return NULL;
    return arrivals_take(&self->arrivals, media_ssrc);
}

static int inlet_set_srtp(Inlet *self, PyObject *value, void *closure)
{
    (void)closure;
    return take_contexts(value, &self->srtp, &self->context, 1);
}

static PyObject *inlet_get_srtp(Inlet *self, void *closure)
{
    (void)closure;
    return Py_NewRef(self->srtp);
}

static int inlet_set_acknowledged(Inlet *self, PyObject *value, void *closure)
{
    (void)closure;
    if (value == NULL || (value != Py_None && !Py_IS_TYPE(value, &AcknowledgedType))) {
        PyErr_SetString(PyExc_TypeError, "an account of another fan-out");
        return -1;
    }
    value = value == Py_None ? NULL : Py_NewRef(value);
    Py_XSETREF(self->acknowledged, (Acknowledged *)value);
    return 0;
}

static PyObject *inlet_get_acknowledged(Inlet *self, void *closure)
{
    (void)closure;
    return Py_NewRef(self->acknowledged != NULL ? (PyObject *)self->acknowledged : Py_None);
}

PyObject *fanout_inlet(Fanout *fanout, PyObject *unused)
{
    Inlet *self = PyObject_GC_New(Inlet, &InletType);

    (void)unused;
    if (self == NULL)
        return NULL;
    memset((char *)self + offsetof(Inlet, srtp), 0, sizeof *self - offsetof(Inlet, srtp));
    self->fanout = (Fanout *)Py_NewRef(fanout);
    self->arrivals.highest = -1;
    self->srtp = Py_NewRef(Py_None);
    self->max_sources = MAX_SOURCES;
    self->on_rtp = Py_NewRef(fanout->ignore);
    self->on_rtcp = Py_NewRef(fanout->ignore);
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

static int inlet_traverse(Inlet *self, visitproc visit, void *arg) /* Py_VISIT wants that name */
{
    Py_VISIT(self->fanout);
    Py_VISIT(self->on_rtp);
    Py_VISIT(self->on_rtcp);
    for (int i = 0; i < self->source_count; i++)
        Py_VISIT(self->sources[i].stream);
    return 0;
}

static int inlet_clear(Inlet *self)
{
    for (int i = 0; i < self->source_count; i++)
        Py_CLEAR(self->sources[i].stream);
    Py_XSETREF(self->on_rtp, Py_NewRef(self->fanout->ignore));
    Py_XSETREF(self->on_rtcp, Py_NewRef(self->fanout->ignore));
    return 0;
}

static void inlet_dealloc(Inlet *self)
{
    PyObject_GC_UnTrack(self);
    for (int i = 0; i < self->source_count; i++)
        Py_XDECREF((PyObject *)self->sources[i].stream);
    PyMem_Free(self->sources);
    Py_XDECREF(self->on_rtp);
    Py_XDECREF(self->on_rtcp);
    Py_XDECREF(self->srtp);
    Py_XDECREF((PyObject *)self->acknowledged);
    Py_XDECREF((PyObject *)self->fanout);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMemberDef inlet_members[] = {
    {"on_rtp", T_OBJECT_EX, offsetof(Inlet, on_rtp), 0, NULL},
    {"on_rtcp", T_OBJECT_EX, offsetof(Inlet, on_rtcp), 0, NULL},
    {"max_sources", T_INT, offsetof(Inlet, max_sources), 0, NULL},
    {"packets", T_ULONGLONG, offsetof(Inlet, packets), READONLY, NULL},
    {"octets", T_ULONGLONG, offsetof(Inlet, octets), READONLY, NULL},
    {"early", T_ULONGLONG, offsetof(Inlet, early), READONLY, NULL},
    {"unprotected", T_ULONGLONG, offsetof(Inlet, unprotected), READONLY, NULL},
    {"unprotected_rtcp", T_ULONGLONG, offsetof(Inlet, unprotected_rtcp), READONLY, NULL},
    {"invalid", T_ULONGLONG, offsetof(Inlet, invalid), READONLY, NULL},
    {"invalid_rtcp", T_ULONGLONG, offsetof(Inlet, invalid_rtcp), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};
static PyGetSetDef inlet_properties[] = {
    {"srtp", (getter)inlet_get_srtp, (setter)inlet_set_srtp, NULL, NULL},
    {"acknowledged", (getter)inlet_get_acknowledged, (setter)inlet_set_acknowledged, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyMethodDef inlet_methods[] = {
    {"connect", (PyCFunction)inlet_connect, METH_VARARGS, NULL},
    {"expect", (PyCFunction)inlet_expect, METH_VARARGS, NULL},
    {"forget", (PyCFunction)inlet_forget, METH_VARARGS, NULL},
    {"note_arrival", (PyCFunction)inlet_note_arrival, METH_VARARGS, NULL},
    {"take_feedback", (PyCFunction)inlet_take_feedback, METH_VARARGS, NULL},
    {"receive", (PyCFunction)inlet_receive, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};
PyTypeObject InletType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "services.media._native.Inlet",
    .tp_basicsize = sizeof(Inlet),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = (destructor)inlet_dealloc,
    .tp_traverse = (traverseproc)inlet_traverse,
    .tp_clear = (inquiry)inlet_clear,
    .tp_free = PyObject_GC_Del,
    .tp_members = inlet_members,
    .tp_getset = inlet_properties,
    .tp_methods = inlet_methods,
};

/* ---- Reading the socket. */

/* Write an address as the key of an inlet: IPv4 in the form of IPv6. */
static PyObject *address_key(const struct sockaddr_storage *from)
{
    unsigned char key[KEY] = {[10] = 0xFF, [11] = 0xFF};

    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)from;
        memcpy(key + 12, &four->sin_addr, 4);
        memcpy(key + 16, &four->sin_port, 2);
    } else {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)from;
        memcpy(key, &six->sin6_addr, 16);
        memcpy(key + 16, &six->sin6_port, 2);
    }
    return PyBytes_FromStringAndSize((const char *)key, KEY);
}

static PyObject *key_of(PyObject *address)
{
    struct sockaddr_storage to;
    socklen_t length;

    if (read_address(address, &to, &length) < 0)
        return NULL;
    if (!length) {
        PyErr_SetString(PyExc_ValueError, "no datagram comes from there");
        return NULL;
    }
    return address_key(&to);
}

PyObject *fanout_know(Fanout *self, PyObject *arguments)
{
    PyObject *address, *inlet, *key;
    int failed;

    if (!PyArg_ParseTuple(arguments, "OO!", &address, &InletType, &inlet) || (key = key_of(address)) == NULL)
        return NULL;
    failed = PyDict_SetItem(self->inlets, key, inlet) < 0;
    Py_DECREF(key);
    return failed ? NULL : Py_NewRef(Py_None);
}

PyObject *fanout_forget(Fanout *self, PyObject *address)
{
    PyObject *key = key_of(address);
    int known;

    if (key == NULL)
        return NULL;
    known = PyDict_Contains(self->inlets, key);
    if (known > 0)
        known = PyDict_DelItem(self->inlets, key);
    Py_DECREF(key);
    return known < 0 ? NULL : Py_NewRef(Py_None);
}

/* Hand a datagram to `route`, with its address as Python's sockets write it. */
static int hand_to_route(Fanout *self, const struct sockaddr_storage *from, socklen_t length, const unsigned char *data,
                         int size, double now)
{
    char host[NI_MAXHOST];
    const struct sockaddr_in *four = (const struct sockaddr_in *)from;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)from;
    int port = ntohs(from->ss_family == AF_INET ? four->sin_port : six->sin6_port);
    PyObject *result;

    if (getnameinfo((const struct sockaddr *)from, length, host, sizeof host, NULL, 0, NI_NUMERICHOST) != 0)
        return 0;
    result = PyObject_CallFunction(self->route, "y#(si)d", (const char *)data, (Py_ssize_t)size, host, port, now);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static int take_datagram(Fanout *self, int index, double now)
{
    struct mmsghdr *message = &self->reading->messages[index];
    unsigned char *data = self->reading->data[index];
    struct sockaddr_storage *from = &self->reading->from[index];
    int size = (int)message->msg_len, result;
    PyObject *inlet = NULL;

    if (!size)
        return 0;
    if (size >= MIN_HEADER && data[0] >= 128 && data[0] <= 191 && now <= self->asleep_after) {
        PyObject *key = address_key(from);
        if (key == NULL)
            return -1;
        inlet = PyDict_GetItemWithError(self->inlets, key);
        Py_DECREF(key);
        if (inlet == NULL && PyErr_Occurred())
            return -1;
    }
    if (inlet == NULL)
        return hand_to_route(self, from, message->msg_hdr.msg_namelen, data, size, now);
    Py_INCREF(inlet); /* it may be forgotten by what hears of the datagram */
    result = take((Inlet *)inlet, data, size, now);
    Py_DECREF(inlet);
    return result;
}

static int receive_some(Fanout *self, int most)
{
    Reading *reading = self->reading;
    int count;

    for (int i = 0; i < most; i++) {
        struct msghdr *header = &reading->messages[i].msg_hdr;
        reading->vectors[i] = (struct iovec){reading->data[i], MAX_DATAGRAM};
        *header = (struct msghdr){
            .msg_name = &reading->from[i], .msg_namelen = sizeof reading->from[i],
            .msg_iov = &reading->vectors[i], .msg_iovlen = 1,
        };
    }
    Py_BEGIN_ALLOW_THREADS
    do
        count = recvmmsg(self->socket, reading->messages, (unsigned int)most, MSG_DONTWAIT, NULL);
    while (count < 0 && errno == EINTR);
    Py_END_ALLOW_THREADS
    return count; /* below 0: there is nothing, or an ICMP error of an earlier send */
}

/* As Python's time.monotonic. */
static double monotonic(void)
{
    struct timespec clock;

    clock_gettime(CLOCK_MONOTONIC, &clock);
    return (double)clock.tv_sec + (double)clock.tv_nsec / 1e9;
}

PyObject *fanout_read(Fanout *self, PyObject *unused)
{
    int count, total = 0, unsent;

    (void)unused;
    if (self->is_reading) {
        PyErr_SetString(PyExc_RuntimeError, "it is being read");
        return NULL;
    }
    self->is_reading = 1;
    /* What has come while the first were being protected leaves with them. */
    while (total < BURST && (count = receive_some(self, BURST - total)) > 0) {
        double now = monotonic();
        for (int i = 0; i < count; i++)
            if (take_datagram(self, i, now) < 0)
                PyErr_WriteUnraisable((PyObject *)self); /* the other datagrams are other people's */
        total += count;
        if (!self->queued_count)
            break;
    }
    self->is_reading = 0;
    unsent = flush_all(self);
    if (unsent) {
        PyObject *result = PyObject_CallFunction(self->unsent, "i", unsent);
        Py_XDECREF(result);
        if (result == NULL)
            return NULL;
    }
    Py_RETURN_NONE;
}
