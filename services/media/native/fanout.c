/* The fan-out: what fanout.py does in Python, to the same contract (tests/contracts/test_fanout.py).
 *
 * A packet is rewritten and protected for all its lanes, with the GIL released, into one arena; what has gathered by the
 * end of the event loop's turn leaves by sendmmsg, the packets of one peer as segments of one send (UDP GSO) where the
 * system can. Nothing is allocated per packet.
 */
#include "native.h"

#include <arpa/inet.h>
#include <errno.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef SOL_UDP
#define SOL_UDP 17
#endif

enum { MAX_ASKED = 1 << 16 }; /* more than one feedback can tell of */

/* ---- One peer's way out. */

/* Read an IPv6 address with a scope, as fe80::1%eth0. Returns its length, or 0 where it is none. */
static socklen_t read_scoped(const char *host, int port, struct sockaddr_storage *to)
{
    struct addrinfo hints = {.ai_family = AF_INET6, .ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICHOST}, *found;
    socklen_t length;

    if (getaddrinfo(host, NULL, &hints, &found) != 0)
        return 0;
    length = found->ai_addrlen;
    memcpy(to, found->ai_addr, length);
    freeaddrinfo(found);
    ((struct sockaddr_in6 *)to)->sin6_port = htons((uint16_t)port);
    return length;
}

int read_address(PyObject *value, struct sockaddr_storage *to, socklen_t *length)
{
    struct sockaddr_in *four = (struct sockaddr_in *)to;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)to;
    const char *host;
    int port;

    *length = 0;
    if (!PyTuple_CheckExact(value) || PyTuple_GET_SIZE(value) != 2)
        return 0;
    if (!PyArg_ParseTuple(value, "si", &host, &port))
        return -1;
    memset(to, 0, sizeof *to);
    if (inet_pton(AF_INET, host, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons((uint16_t)port);
        *length = sizeof *four;
    } else if (inet_pton(AF_INET6, host, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons((uint16_t)port);
        *length = sizeof *six;
    } else if ((*length = read_scoped(host, port, to)) == 0) {
        PyErr_Format(PyExc_ValueError, "%s is no IP address", host);
        return -1;
    }
    return 0;
}

static int outlet_set_address(Outlet *self, PyObject *value, void *closure)
{
    struct sockaddr_storage to;
    socklen_t length;

    (void)closure;
    if (value == NULL || read_address(value, &to, &length) < 0) {
        if (value == NULL)
            PyErr_SetString(PyExc_AttributeError, "an outlet keeps its address");
        return -1;
    }
    self->to = to;
    self->to_length = length;
    Py_INCREF(value);
    Py_SETREF(self->address, value);
    return 0;
}

static PyObject *outlet_get_address(Outlet *self, void *closure)
{
    (void)closure;
    return Py_NewRef(self->address);
}

int take_contexts(PyObject *srtp, PyObject **held, void **contexts, Py_ssize_t count)
{
    void *taken[SHARDS] = {NULL};

    if (srtp == NULL) {
        PyErr_SetString(PyExc_AttributeError, "what protects can't be deleted");
        return -1;
    }
    if (srtp != Py_None) {
        PyObject *pointers = PyObject_GetAttrString(srtp, "contexts");
        if (pointers == NULL)
            return -1;
        if (!PyTuple_Check(pointers) || PyTuple_GET_SIZE(pointers) != count)
            PyErr_Format(PyExc_TypeError, "`contexts` is to be a tuple of %zd", count);
        for (Py_ssize_t i = 0; i < count && !PyErr_Occurred(); i++)
            taken[i] = PyLong_AsVoidPtr(PyTuple_GET_ITEM(pointers, i));
        Py_DECREF(pointers);
        if (PyErr_Occurred())
            return -1;
    }
    memcpy(contexts, taken, (size_t)count * sizeof *contexts);
    Py_INCREF(srtp);
    Py_SETREF(*held, srtp);
    return 0;
}

static int outlet_set_srtp(Outlet *self, PyObject *value, void *closure)
{
    (void)closure;
    return take_contexts(value, &self->srtp, self->contexts, SHARDS);
}

static PyObject *outlet_get_srtp(Outlet *self, void *closure)
{
    (void)closure;
    return Py_NewRef(self->srtp);
}

static PyObject *outlet_sent(Outlet *self, PyObject *arguments)
{
    long long first;
    Py_ssize_t count;
    PyObject *times, *sizes;

    if (!PyArg_ParseTuple(arguments, "Ln", &first, &count))
        return NULL;
    if (count < 0 || count > MAX_ASKED) {
        PyErr_SetString(PyExc_ValueError, "of so many packets at once nothing can be told");
        return NULL;
    }
    times = PyList_New(count);
    sizes = PyList_New(count);
    for (Py_ssize_t i = 0; times != NULL && sizes != NULL && i < count; i++) {
        long long number = (long long)((unsigned long long)first + (unsigned long long)i);
        int known = number >= 0 && number < self->number && number >= self->number - SENT;
        PyObject *at = PyFloat_FromDouble(known ? self->at[number % SENT] : 0.0);
        PyObject *size = PyLong_FromLong(known ? self->size[number % SENT] : 0);
        if (at == NULL || size == NULL) {
            Py_XDECREF(at);
            Py_XDECREF(size);
            Py_CLEAR(times);
            break;
        }
        PyList_SET_ITEM(times, i, at);
        PyList_SET_ITEM(sizes, i, size);
    }
    if (times == NULL || sizes == NULL) {
        Py_XDECREF(times);
        Py_XDECREF(sizes);
        return NULL;
    }
    return Py_BuildValue("NN", times, sizes);
}

static void outlet_dealloc(Outlet *self)
{
    Py_XDECREF(self->address);
    Py_XDECREF(self->srtp);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMemberDef outlet_members[] = {
    {"number", T_LONGLONG, offsetof(Outlet, number), READONLY, NULL},
    {"octets", T_ULONGLONG, offsetof(Outlet, octets), 0, NULL},
    {"failed", T_ULONGLONG, offsetof(Outlet, failed), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};
static PyGetSetDef outlet_properties[] = {
    {"address", (getter)outlet_get_address, (setter)outlet_set_address, NULL, NULL},
    {"srtp", (getter)outlet_get_srtp, (setter)outlet_set_srtp, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyMethodDef outlet_methods[] = {
    {"sent", (PyCFunction)outlet_sent, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};
PyTypeObject OutletType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "services.media._native.Outlet",
    .tp_basicsize = sizeof(Outlet),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = (destructor)outlet_dealloc,
    .tp_members = outlet_members,
    .tp_getset = outlet_properties,
    .tp_methods = outlet_methods,
};

/* ---- One track to one peer. */

static void lane_dealloc(Lane *self)
{
    Py_XDECREF(self->outlet);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMemberDef lane_members[] = {
    {"outlet", T_OBJECT_EX, offsetof(Lane, outlet), READONLY, NULL},
    {"ssrc", T_UINT, offsetof(Lane, ssrc), READONLY, NULL},
    {"begin", T_LONGLONG, offsetof(Lane, begin), 0, NULL},
    {"offset", T_LONGLONG, offsetof(Lane, offset), 0, NULL},
    {"timestamp_offset", T_LONGLONG, offsetof(Lane, timestamp_offset), 0, NULL},
    {"picture_offset", T_INT, offsetof(Lane, picture_offset), 0, NULL},
    {"tl0_offset", T_INT, offsetof(Lane, tl0_offset), 0, NULL},
    {"packets", T_ULONGLONG, offsetof(Lane, packets), 0, NULL},
    {"octets", T_ULONGLONG, offsetof(Lane, octets), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};
PyTypeObject LaneType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "services.media._native.Lane",
    .tp_basicsize = sizeof(Lane),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = (destructor)lane_dealloc,
    .tp_members = lane_members,
};

/* ---- A packet along its lanes. */

/* Write over what differs from lane to lane. Numbers wrap around: they are added unsigned. */
static void rewrite(unsigned char *into, const Packet *packet, const Lane *lane)
{
    put16(into + 2, (unsigned int)((unsigned long long)packet->extended + (unsigned long long)lane->offset));
    put32(into + 4, (unsigned long)(packet->timestamp + (unsigned long)lane->timestamp_offset));
    put32(into + 8, lane->ssrc);
    if (packet->picture_at) {
        unsigned char *at = into + packet->picture_at;
        if (packet->is_wide) {
            unsigned int picture = get16(at) + (unsigned int)lane->picture_offset;
            put16(at, 0x8000 | (picture & 0x7FFF));
        } else {
            at[0] = (unsigned char)((at[0] + (unsigned int)lane->picture_offset) & 0x7F);
        }
    }
    if (packet->tl0_at)
        into[packet->tl0_at] = (unsigned char)(into[packet->tl0_at] + (unsigned int)lane->tl0_offset);
}

/* Number and protect what lies at `buffer`; returns its protected length, or 0 when that failed. */
static int seal(const Fanout *self, Outlet *outlet, unsigned char *buffer, int size, double now)
{
    int length = size;

    put16(buffer + TRANSPORT_SEQUENCE_AT, (unsigned int)outlet->number);
    if (self->protect(outlet->contexts[buffer[SSRC_LAST_AT] % SHARDS], buffer, &length) != 0) {
        outlet->failed++;
        return 0;
    }
    outlet->at[outlet->number % SENT] = now;
    outlet->size[outlet->number % SENT] = (uint16_t)(size + WIRE_BYTES);
    outlet->number++;
    outlet->octets += (unsigned long long)length;
    return length;
}

static void enqueue(Fanout *self, Outlet *outlet, int length)
{
    int index = self->queued_count++;

    self->queued[index] = (Queued){self->used, (uint16_t)length, NONE};
    self->used += (uint32_t)((length + 7) & ~7);
    if (outlet->tail == NONE) {
        outlet->head = index;
        self->waiting[self->waiting_count++] = outlet; /* its reference is taken under the GIL, by `keep` */
    } else {
        self->queued[outlet->tail].next = index;
    }
    outlet->tail = index;
}

/* ---- Leaving. */

static void add_message(Batch *batch, Outlet *outlet, int segments, int size)
{
    int index = batch->count++;
    struct msghdr *header = &batch->messages[index].msg_hdr;

    memset(header, 0, sizeof *header);
    header->msg_name = &outlet->to;
    header->msg_namelen = outlet->to_length;
    header->msg_iov = &batch->vectors[batch->vector_count - segments];
    header->msg_iovlen = (size_t)segments;
    batch->segments[index] = segments;
    if (segments > 1) {
        struct cmsghdr *control;
        uint16_t segment = (uint16_t)size;
        header->msg_control = batch->control[index];
        header->msg_controllen = sizeof batch->control[index];
        control = CMSG_FIRSTHDR(header);
        control->cmsg_level = SOL_UDP;
        control->cmsg_type = UDP_SEGMENT;
        control->cmsg_len = CMSG_LEN(sizeof segment);
        memcpy(CMSG_DATA(control), &segment, sizeof segment);
    }
}

static int send_one_by_one(int socket, struct msghdr *header, int segments)
{
    struct iovec *vectors = header->msg_iov;
    int unsent = 0;

    header->msg_control = NULL;
    header->msg_controllen = 0;
    header->msg_iovlen = 1;
    for (int i = 0; i < segments; i++) {
        header->msg_iov = vectors + i;
        if (sendmsg(socket, header, 0) < 0)
            unsent++;
    }
    return unsent;
}

/* Send what a batch holds; returns how many packets the socket did not take. */
static int send_batch(Fanout *self, Batch *batch)
{
    int done = 0, unsent = 0;

    while (done < batch->count) {
        int sent = sendmmsg(self->socket, batch->messages + done, (unsigned int)(batch->count - done), 0);
        if (sent > 0) {
            done += sent;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) { /* the buffer is full: the network would drop it too */
            for (; done < batch->count; done++)
                unsent += batch->segments[done];
            break;
        }
        if (batch->segments[done] > 1) {
            if (errno == EIO) /* this network card can't */
                self->can_segment = 0;
            unsent += send_one_by_one(self->socket, &batch->messages[done].msg_hdr, batch->segments[done]);
        } else {
            unsent++;
        }
        done++;
    }
    batch->count = batch->vector_count = 0;
    return unsent;
}

/* Cut one peer's packets into runs that one send can carry: of one size, but for the last, which may be shorter. */
static int add_outlet(Fanout *self, Batch *batch, Outlet *outlet)
{
    int unsent = 0, segments = 0, size = 0, last = 0;

    if (!outlet->to_length) /* its address went away meanwhile */
        return 0;
    for (int index = outlet->head; index != NONE; index = self->queued[index].next) {
        const Queued *queued = &self->queued[index];
        int fits = segments && self->can_segment && segments < MAX_SEGMENTS && last == size && queued->length <= size;
        if (segments && !fits) {
            add_message(batch, outlet, segments, size);
            segments = 0;
            if (batch->count == MESSAGES)
                unsent += send_batch(self, batch);
        }
        if (!segments)
            size = queued->length;
        batch->vectors[batch->vector_count].iov_base = self->arena + queued->at;
        batch->vectors[batch->vector_count++].iov_len = queued->length;
        last = queued->length;
        segments++;
    }
    if (segments) {
        add_message(batch, outlet, segments, size);
        if (batch->count == MESSAGES)
            unsent += send_batch(self, batch);
    }
    return unsent;
}

int flush_all(Fanout *self)
{
    Batch *batch = &self->batch;
    int unsent = 0;

    Py_BEGIN_ALLOW_THREADS
    for (int i = 0; i < self->waiting_count; i++)
        unsent += add_outlet(self, batch, self->waiting[i]);
    unsent += send_batch(self, batch);
    Py_END_ALLOW_THREADS
    for (int i = 0; i < self->waiting_count; i++) {
        Outlet *outlet = self->waiting[i];
        outlet->head = outlet->tail = NONE;
        Py_DECREF(outlet);
    }
    self->waiting_count = self->queued_count = 0;
    self->used = 0;
    return unsent;
}

static PyObject *fanout_flush(Fanout *self, PyObject *unused)
{
    int left = flush_all(self);
    PyObject *result;

    (void)unused;
    if (!left)
        Py_RETURN_NONE;
    result = PyObject_CallFunction(self->unsent, "i", left);
    Py_XDECREF(result);
    return result == NULL ? NULL : Py_NewRef(Py_None);
}

/* ---- Queueing. */

static int has_room(const Fanout *self, Py_ssize_t packets)
{
    return self->queued_count + packets <= MAX_QUEUED
        && self->used + (uint64_t)packets * (MAX_PACKET + TRAILER + 8) <= ARENA;
}

/* Seal and hand over to Python a packet for a peer that no datagram reaches. */
static int divert(Fanout *self, Outlet *outlet, const Packet *packet, const Lane *lane)
{
    unsigned char buffer[MAX_PACKET + TRAILER];
    PyObject *result;
    int length;

    memcpy(buffer, packet->data, (size_t)packet->size);
    if (lane != NULL)
        rewrite(buffer, packet, lane);
    length = seal(self, outlet, buffer, packet->size, packet->now);
    if (!length)
        return 0;
    result = PyObject_CallFunction(self->send, "y#O", (char *)buffer, (Py_ssize_t)length, outlet->address);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static int is_open(const Outlet *outlet)
{
    return outlet->contexts[0] != NULL && outlet->address != Py_None;
}

/* After packets were queued without the GIL: take references of peers that now wait, and see that a flush comes. */
static int keep(Fanout *self, int waited_before)
{
    PyObject *result;

    for (int i = waited_before; i < self->waiting_count; i++)
        Py_INCREF(self->waiting[i]);
    if (waited_before || !self->waiting_count || self->is_reading)
        return 0;
    result = PyObject_CallNoArgs(self->schedule);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static void put_in_lanes(Fanout *self, const Packet *packet, Lane **lanes, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        Lane *lane = lanes[i];
        Outlet *outlet = lane->outlet;
        unsigned char *into = self->arena + self->used;
        int length;
        if (packet->extended < lane->begin || !is_open(outlet))
            continue;
        lane->packets++;
        lane->octets += (unsigned long long)(packet->size - MIN_HEADER);
        if (!outlet->to_length)
            continue; /* it is diverted, under the GIL */
        memcpy(into, packet->data, (size_t)packet->size);
        rewrite(into, packet, lane);
        length = seal(self, outlet, into, packet->size, packet->now);
        if (length)
            enqueue(self, outlet, length);
    }
}

static int divert_lanes(Fanout *self, const Packet *packet, Lane **lanes, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        Outlet *outlet = lanes[i]->outlet;
        if (packet->extended >= lanes[i]->begin && is_open(outlet) && !outlet->to_length
            && divert(self, outlet, packet, lanes[i]) < 0)
            return -1;
    }
    return 0;
}

enum { LANES_AT_ONCE = 256 };

/* Forward along some lanes, which are referenced by the caller's list. */
static int forward_some(Fanout *self, const Packet *packet, Lane **lanes, Py_ssize_t count)
{
    int waited;

    if (!has_room(self, count))
        flush_all(self);
    waited = self->waiting_count;
    Py_BEGIN_ALLOW_THREADS
    put_in_lanes(self, packet, lanes, count);
    Py_END_ALLOW_THREADS
    if (keep(self, waited) < 0)
        return -1;
    return divert_lanes(self, packet, lanes, count);
}

static int check_packet(const Packet *packet, Py_ssize_t size)
{
    if (size < TRANSPORT_SEQUENCE_AT + 2 || size > MAX_PACKET || packet->picture_at < 0 || packet->tl0_at < 0
        || packet->picture_at >= size - packet->is_wide || packet->tl0_at >= size) {
        PyErr_SetString(PyExc_ValueError, "the packet is too short, too long, or has its numbers elsewhere");
        return -1;
    }
    return 0;
}

int forward_packet(Fanout *self, const Packet *packet, PyObject *list)
{
    Lane *lanes[LANES_AT_ONCE];
    int failed = 0;

    for (Py_ssize_t start = 0; !failed && start < PyList_GET_SIZE(list); start += LANES_AT_ONCE) {
        Py_ssize_t count = 0;
        while (count < LANES_AT_ONCE && start + count < PyList_GET_SIZE(list)) {
            PyObject *lane = PyList_GET_ITEM(list, start + count);
            if (!Py_IS_TYPE(lane, &LaneType)) {
                PyErr_SetString(PyExc_TypeError, "a lane of another fan-out");
                failed = 1;
                break;
            }
            lanes[count++] = (Lane *)Py_NewRef(lane);
        }
        failed = failed || forward_some(self, packet, lanes, count) < 0;
        while (count)
            Py_DECREF(lanes[--count]);
    }
    return failed ? -1 : 0;
}

static PyObject *fanout_forward(Fanout *self, PyObject *arguments)
{
    Packet packet;
    Py_buffer data;
    PyObject *list;
    int failed;

    if (!PyArg_ParseTuple(arguments, "y*Lk(ipi)O!d", &data, &packet.extended, &packet.timestamp,
                          &packet.picture_at, &packet.is_wide, &packet.tl0_at, &PyList_Type, &list, &packet.now))
        return NULL;
    packet.data = data.buf;
    packet.size = (int)data.len;
    failed = check_packet(&packet, data.len) < 0 || forward_packet(self, &packet, list) < 0;
    PyBuffer_Release(&data);
    return failed ? NULL : Py_NewRef(Py_None);
}

static PyObject *fanout_send(Fanout *self, PyObject *arguments)
{
    Packet packet = {.extended = 0};
    Py_buffer data;
    Outlet *outlet;
    int failed;

    if (!PyArg_ParseTuple(arguments, "O!y*d", &OutletType, &outlet, &data, &packet.now))
        return NULL;
    packet.data = data.buf;
    packet.size = (int)data.len;
    failed = check_packet(&packet, data.len) < 0;
    if (!failed && is_open(outlet)) {
        if (!outlet->to_length) {
            failed = divert(self, outlet, &packet, NULL) < 0;
        } else {
            int waited, length;
            if (!has_room(self, 1))
                flush_all(self);
            waited = self->waiting_count;
            memcpy(self->arena + self->used, packet.data, (size_t)packet.size);
            length = seal(self, outlet, self->arena + self->used, packet.size, packet.now);
            if (length)
                enqueue(self, outlet, length);
            failed = keep(self, waited) < 0;
        }
    }
    PyBuffer_Release(&data);
    return failed ? NULL : Py_NewRef(Py_None);
}

static PyObject *fanout_send_rtcp(Fanout *self, PyObject *arguments)
{
    Outlet *outlet;
    const char *packet;
    Py_ssize_t size;
    int length, waited;

    if (!PyArg_ParseTuple(arguments, "O!y#", &OutletType, &outlet, &packet, &size))
        return NULL;
    if (!is_open(outlet) || size > MAX_SRTP_PACKET)
        Py_RETURN_NONE;
    if (!has_room(self, 1))
        flush_all(self);
    memcpy(self->arena + self->used, packet, (size_t)size);
    length = (int)size;
    if (self->protect_rtcp(outlet->contexts[0], self->arena + self->used, &length) != 0) {
        outlet->failed++;
        Py_RETURN_NONE;
    }
    if (!outlet->to_length)
        return PyObject_CallFunction(self->send, "y#O", (char *)self->arena + self->used, (Py_ssize_t)length,
                                     outlet->address);
    waited = self->waiting_count;
    enqueue(self, outlet, length);
    if (keep(self, waited) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *fanout_outlet(Fanout *self, PyObject *unused)
{
    Outlet *outlet = PyObject_New(Outlet, &OutletType);

    (void)self;
    (void)unused;
    if (outlet == NULL)
        return NULL;
    memset((char *)outlet + offsetof(Outlet, address), 0, sizeof *outlet - offsetof(Outlet, address));
    outlet->address = Py_NewRef(Py_None);
    outlet->srtp = Py_NewRef(Py_None);
    outlet->head = outlet->tail = NONE;
    return (PyObject *)outlet;
}

static PyObject *fanout_lane(Fanout *self, PyObject *arguments)
{
    Outlet *outlet;
    unsigned int ssrc;
    Lane *lane;

    (void)self;
    if (!PyArg_ParseTuple(arguments, "O!I", &OutletType, &outlet, &ssrc))
        return NULL;
    lane = PyObject_New(Lane, &LaneType);
    if (lane == NULL)
        return NULL;
    memset((char *)lane + offsetof(Lane, outlet), 0, sizeof *lane - offsetof(Lane, outlet));
    lane->outlet = (Outlet *)Py_NewRef(outlet);
    lane->ssrc = ssrc;
    return (PyObject *)lane;
}

static int initialise(Fanout *self, PyObject *arguments)
{
    unsigned long long protect, protect_rtcp, unprotect, unprotect_rtcp;
    PyObject **held[] = {&self->send, &self->schedule, &self->route, &self->unsent, &self->kept, &self->ignore,
                         &self->invalid};
    enum { HELD = sizeof held / sizeof *held };
    int segment = 0;
    socklen_t length = sizeof segment;

    if (!PyArg_ParseTuple(arguments, "i(KKKK)OOOOOOO", &self->socket, &protect, &protect_rtcp, &unprotect, &unprotect_rtcp,
                          held[0], held[1], held[2], held[3], held[4], held[5], held[6])) {
        for (int i = 0; i < HELD; i++)
            *held[i] = NULL; /* they were not ours yet */
        return -1;
    }
    for (int i = 0; i < HELD; i++)
        Py_INCREF(*held[i]);
    self->protect = (srtp_t)(uintptr_t)protect;
    self->protect_rtcp = (srtp_t)(uintptr_t)protect_rtcp;
    self->unprotect = (srtp_t)(uintptr_t)unprotect;
    self->unprotect_rtcp = (srtp_t)(uintptr_t)unprotect_rtcp;
    self->asleep_after = Py_HUGE_VAL;
    self->inlets = PyDict_New();
    self->reading = PyMem_RawMalloc(sizeof *self->reading);
    self->arena = PyMem_RawMalloc(ARENA);
    if (self->inlets == NULL || self->reading == NULL || self->arena == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    self->can_segment = getsockopt(self->socket, SOL_UDP, UDP_SEGMENT, &segment, &length) == 0;
    return 0;
}

static PyObject *fanout_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    Fanout *self = (Fanout *)type->tp_alloc(type, 0);

    (void)keywords;
    if (self != NULL && initialise(self, arguments) < 0)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static int fanout_traverse(Fanout *self, visitproc visit, void *arg) /* Py_VISIT wants that name */
{
    Py_VISIT(self->send);
    Py_VISIT(self->schedule);
    Py_VISIT(self->route);
    Py_VISIT(self->unsent);
    Py_VISIT(self->kept);
    Py_VISIT(self->inlets);
    return 0;
}

static int fanout_clear(Fanout *self)
{
    Py_CLEAR(self->inlets); /* the cycles go by the inlets, and by `route` */
    Py_CLEAR(self->route);
    Py_CLEAR(self->schedule);
    Py_CLEAR(self->send);
    return 0;
}

static void fanout_dealloc(Fanout *self)
{
    PyObject_GC_UnTrack(self);
    for (int i = 0; i < self->waiting_count; i++)
        Py_DECREF(self->waiting[i]);
    fanout_clear(self);
    Py_XDECREF(self->unsent);
    Py_XDECREF(self->kept);
    Py_XDECREF(self->ignore);
    Py_XDECREF(self->invalid);
    PyMem_RawFree(self->arena);
    PyMem_RawFree(self->reading);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMemberDef fanout_members[] = {
    {"asleep_after", T_DOUBLE, offsetof(Fanout, asleep_after), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};
static PyMethodDef fanout_methods[] = {
    {"read", (PyCFunction)fanout_read, METH_NOARGS, NULL},
    {"know", (PyCFunction)fanout_know, METH_VARARGS, NULL},
    {"forget", (PyCFunction)fanout_forget, METH_O, NULL},
    {"inlet", (PyCFunction)fanout_inlet, METH_NOARGS, NULL},
    {"stream", (PyCFunction)fanout_stream, METH_VARARGS, NULL},
    {"outlet", (PyCFunction)fanout_outlet, METH_NOARGS, NULL},
    {"lane", (PyCFunction)fanout_lane, METH_VARARGS, NULL},
    {"acknowledged", (PyCFunction)fanout_acknowledged, METH_O, NULL},
    {"forward", (PyCFunction)fanout_forward, METH_VARARGS, NULL},
    {"send_rtcp", (PyCFunction)fanout_send_rtcp, METH_VARARGS, NULL},
    {"send", (PyCFunction)fanout_send, METH_VARARGS, NULL},
    {"flush", (PyCFunction)fanout_flush, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};
PyTypeObject FanoutType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "services.media._native.Fanout",
    .tp_basicsize = sizeof(Fanout),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = fanout_new,
    .tp_dealloc = (destructor)fanout_dealloc,
    .tp_traverse = (traverseproc)fanout_traverse,
    .tp_clear = (inquiry)fanout_clear,
    .tp_members = fanout_members,
    .tp_methods = fanout_methods,
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_native", "The hot path, compiled; see fanout.py, stream.py and inlet.py.", -1, NULL, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__native(void)
{
    PyObject *it;

    if (PyType_Ready(&OutletType) < 0 || PyType_Ready(&LaneType) < 0 || PyType_Ready(&FanoutType) < 0
        || PyType_Ready(&StreamType) < 0 || PyType_Ready(&InletType) < 0 || PyType_Ready(&AcknowledgedType) < 0)
        return NULL;
    it = PyModule_Create(&module);
    if (it == NULL)
        return NULL;
    if (PyModule_AddObjectRef(it, "Fanout", (PyObject *)&FanoutType) < 0) {
        Py_DECREF(it);
        return NULL;
    }
    return it;
}
