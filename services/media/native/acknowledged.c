/* What feedback tells of what an outlet has sent, added up: what acknowledged.py does. */
#include "native.h"

#include <math.h>

/* As in acknowledged.py. */
#define GROUP_MS 5.0
#define RATE_MS 500.0
#define MIN_RATE_MS 250.0
#define LATEST_MS 200.0
#define MIN_LATEST_MS 100.0
enum {
    MAX_RECENT = 256,
    MAX_LISTED = 16,
    MAX_LISTED_PACKETS = 1024,
};

/* Packets that left together, in milliseconds; none while it has no bytes. */
typedef struct {
    double first, last, arrived;
    long long octets;
} Group;

struct Acknowledged {
    PyObject_HEAD
    Outlet *outlet;
    char lists;
    PyObject *listed;
    long long received, lost, octets, end;
    Trend trend;
    Group open;
    Group recent[MAX_RECENT]; /* a ring */
    int oldest, recent_count;
    long long recent_octets;
};

/* When a packet was sent, in seconds, and its bytes; both 0 where that is not known. */
typedef struct {
    double at;
    int size;
} Known;

static Known known(const Outlet *outlet, long long number)
{
    int is_known = number >= 0 && number < outlet->number && number >= outlet->number - SENT;

    return is_known ? (Known){outlet->at[number % SENT], outlet->size[number % SENT]} : (Known){0, 0};
}

static void forget_oldest(Acknowledged *self)
{
    self->recent_octets -= self->recent[self->oldest].octets;
    self->oldest = (self->oldest + 1) % MAX_RECENT;
    self->recent_count--;
}

static void close_group(Acknowledged *self)
{
    if (self->recent_count == MAX_RECENT)
        forget_oldest(self);
    self->recent[(self->oldest + self->recent_count++) % MAX_RECENT] = self->open;
    self->recent_octets += self->open.octets;
    trend_take(&self->trend, self->open.last, self->open.arrived);
}

static Group latest(const Acknowledged *self)
{
    return self->recent[(self->oldest + self->recent_count - 1) % MAX_RECENT];
}

/* Take a packet that has arrived; tells whether it closes a group. */
static int take_packet(Acknowledged *self, double sent, double arrived, int size)
{
    Group *open = &self->open;
    int closes = 0;

    if (!open->octets || sent > open->first + GROUP_MS) {
        closes = open->octets != 0;
        if (closes)
            close_group(self);
        *open = (Group){sent, sent, arrived, 0};
    }
    open->octets += size;
    open->last = sent > open->last ? sent : open->last;
    open->arrived = arrived > open->arrived ? arrived : open->arrived;
    return closes;
}

/* Take a feedback's packets, from number `base` on; tells whether any has arrived. */
static int take(Acknowledged *self, const Told *told, long long base)
{
    long long received = 0, lost = 0, octets = 0;
    double since = trend_latest(&self->trend), left = 0; /* none has left before the one that it follows */
    int closed = 0;

    for (int i = 0; i < told->count; i++) {
        Known packet = known(self->outlet, base + i);
        octets += packet.size;
        lost += told->arrivals[i] == LOST && base + i >= self->end;
        if (told->arrivals[i] == LOST || !packet.size)
            continue;
        received++;
        left = fmax(left, 1000 * packet.at);
        closed |= take_packet(self, left, (double)told->arrivals[i] / 1000, packet.size);
    }
    if (!received)
        return 0;
    self->received += received;
    self->lost += lost;
    self->octets += octets;
    self->end = self->end > base + told->count ? self->end : base + told->count;
    if (closed) {
        double too_old = latest(self).arrived - RATE_MS;
        trend_look(&self->trend, since);
        while (self->recent[self->oldest].arrived < too_old)
            forget_oldest(self);
    }
    return 1;
}

/* List the packets one by one: (arrival in microseconds or None, sent in seconds, bytes). */
static PyObject *one_by_one(const Outlet *outlet, const Told *told, long long base)
{
    PyObject *packets = PyList_New(told->count);

    for (int i = 0; packets != NULL && i < told->count; i++) {
        Known it = known(outlet, base + i);
        PyObject *packet = told->arrivals[i] == LOST ? Py_BuildValue("(Odi)", Py_None, it.at, it.size)
                                                     : Py_BuildValue("(Ldi)", told->arrivals[i], it.at, it.size);
        if (packet == NULL)
            Py_CLEAR(packets);
        else
            PyList_SET_ITEM(packets, i, packet);
    }
    return packets;
}

/* List a feedback. Returns -1 with an exception set, else 0. */
static int list(Acknowledged *self, const Told *told, long long base)
{
    PyObject *listed;
    int failed;

    if (!self->lists || told->count > MAX_LISTED_PACKETS || PyList_GET_SIZE(self->listed) >= MAX_LISTED)
        return 0;
    listed = Py_BuildValue("(LN)", base, one_by_one(self->outlet, told, base));
    failed = listed == NULL || PyList_Append(self->listed, listed) < 0;
    Py_XDECREF(listed);
    return failed ? -1 : 0;
}

int acknowledged_take(Acknowledged *self, const unsigned char *body, int size)
{
    long long base, highest = self->outlet->number - 1;
    Told told;

    if (size > MAX_PACKET || read_feedback(body, size, &told) < 0)
        return INVALID;
    base = highest - ((highest - (long long)told.base) & 0xFFFF);
    return take(self, &told, base) && list(self, &told, base) < 0 ? RAISED : 0;
}

static PyObject *acknowledged_receive(Acknowledged *self, PyObject *arguments)
{
    Py_buffer body;
    int taken;

    if (!PyArg_ParseTuple(arguments, "y*", &body))
        return NULL;
    taken = body.len > MAX_PACKET ? INVALID : acknowledged_take(self, body.buf, (int)body.len);
    PyBuffer_Release(&body);
    if (taken == INVALID)
        PyErr_SetString(PyExc_ValueError, "it is no transport-wide feedback");
    return taken < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *acknowledged_take_listed(Acknowledged *self, PyObject *unused)
{
    PyObject *listed = self->listed, *fresh = PyList_New(0);

    (void)unused;
    if (fresh == NULL)
        return NULL;
    self->listed = fresh;
    return listed;
}

static PyObject *acknowledged_bps(Acknowledged *self, void *closure)
{
    const Group *oldest = &self->recent[self->oldest];
    Group newest;
    double span;

    (void)closure;
    if (!self->recent_count)
        return PyFloat_FromDouble(0);
    newest = latest(self);
    span = fmax(fmax(newest.arrived - oldest->arrived, newest.last - oldest->last), MIN_RATE_MS);
    return PyFloat_FromDouble(8000 * (double)(self->recent_octets - oldest->octets) / span);
}

static PyObject *acknowledged_latest_bps(Acknowledged *self, void *closure)
{
    Group first, last;
    long long octets = 0;
    double span;

    (void)closure;
    if (!self->recent_count)
        return PyFloat_FromDouble(0);
    first = last = latest(self);
    for (int back = self->recent_count - 1; back >= 0; back--) {
        const Group *group = &self->recent[(self->oldest + back) % MAX_RECENT];
        if (group->arrived < last.arrived - LATEST_MS)
            break;
        first = *group;
        octets += group->octets;
    }
    span = fmax(fmax(last.arrived - first.arrived, last.last - first.last), MIN_LATEST_MS);
    return PyFloat_FromDouble(8000 * (double)(octets - first.octets) / span);
}

PyObject *fanout_acknowledged(Fanout *fanout, PyObject *outlet)
{
    Acknowledged *self;

    (void)fanout;
    if (!PyObject_TypeCheck(outlet, &OutletType)) {
        PyErr_SetString(PyExc_TypeError, "it is no outlet");
        return NULL;
    }
    self = PyObject_New(Acknowledged, &AcknowledgedType);
    if (self == NULL)
        return NULL;
    memset((char *)self + offsetof(Acknowledged, outlet), 0, sizeof *self - offsetof(Acknowledged, outlet));
    self->outlet = (Outlet *)Py_NewRef(outlet);
    self->listed = PyList_New(0);
    trend_begin(&self->trend);
    if (self->listed == NULL)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static void acknowledged_dealloc(Acknowledged *self)
{
    Py_XDECREF(self->listed);
    Py_XDECREF(self->outlet);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMemberDef acknowledged_members[] = {
    {"lists", T_BOOL, offsetof(Acknowledged, lists), 0, NULL},
    {"received", T_LONGLONG, offsetof(Acknowledged, received), READONLY, NULL},
    {"lost", T_LONGLONG, offsetof(Acknowledged, lost), READONLY, NULL},
    {"octets", T_LONGLONG, offsetof(Acknowledged, octets), READONLY, NULL},
    {"end", T_LONGLONG, offsetof(Acknowledged, end), READONLY, NULL},
    {"trend", T_INT, offsetof(Acknowledged, trend.state), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};
static PyGetSetDef acknowledged_properties[] = {
    {"bps", (getter)acknowledged_bps, NULL, NULL, NULL},
    {"latest_bps", (getter)acknowledged_latest_bps, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyMethodDef acknowledged_methods[] = {
    {"receive", (PyCFunction)acknowledged_receive, METH_VARARGS, NULL},
    {"take_listed", (PyCFunction)acknowledged_take_listed, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};
PyTypeObject AcknowledgedType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "services.media._native.Acknowledged",
    .tp_basicsize = sizeof(Acknowledged),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = (destructor)acknowledged_dealloc,
    .tp_members = acknowledged_members,
    .tp_getset = acknowledged_properties,
    .tp_methods = acknowledged_methods,
};
