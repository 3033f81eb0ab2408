/* The hot path, compiled: what fanout.py, stream.py and inlet.py do in Python, to the same contracts.
 *
 *   socket -> inlet.c (read, authenticate) -> stream.c (count, lay out, keep) -> fanout.c (rewrite, protect, send)
 *   feedback.c (read) -> acknowledged.c (what was sent, of it what arrived) -> delay.c (whether a queue grows)
 *
 * Everything here belongs to the event loop's thread. libsrtp is not linked: its functions come as addresses, from
 * pylibsrtp.
 */
#ifndef PARLEY_NATIVE_H
#define PARLEY_NATIVE_H

#define PY_SSIZE_T_CLEAN
#define _GNU_SOURCE
#include <Python.h>
#include <structmember.h>

#include <netdb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

enum {
    SENT = 4096,                /* as outlet.SENT */
    SHARDS = 8,                 /* as dtls.SHARDS */
    MIN_HEADER = 12,
    TRANSPORT_SEQUENCE_ID = 3,  /* as rtp.TRANSPORT_SEQUENCE_ID */
    TRANSPORT_SEQUENCE_AT = 17, /* as rtp.TRANSPORT_SEQUENCE_AT */
    SSRC_LAST_AT = 11,          /* the last byte of the SSRC */
    WIRE_BYTES = 44,            /* as outlet.WIRE_BYTES */
    MAX_PACKET = 1500,
    MAX_SRTP_PACKET = 1356,     /* as dtls.MAX_SRTP_PACKET */
    TRAILER = 144,              /* SRTP_MAX_TRAILER_LEN */
    ARENA = 1 << 20,
    MAX_QUEUED = 2048,          /* packets that wait for the end of the turn */
    MAX_SEGMENTS = 44,          /* in one send: of 1,472 bytes each they fit its 64 KiB */
    MESSAGES = 64,              /* in one sendmmsg */
    BURST = 64,                 /* as fanout.BURST */
    MAX_DATAGRAM = 2048,        /* as fanout.MAX_DATAGRAM */
    NONE = -1,
};

typedef int (*srtp_t)(void *context, void *packet, int *length);

/* One peer's way out. */
typedef struct {
    PyObject_HEAD
    PyObject *address;  /* as Python sees it: None, (host, port), or what `send` is to be called with */
    PyObject *srtp;     /* keeps `contexts` alive */
    void *contexts[SHARDS];
    struct sockaddr_storage to;
    socklen_t to_length; /* 0: no datagram address */
    long long number;
    unsigned long long octets, failed;
    int head, tail;     /* its queued packets, NONE when there are none */
    double at[SENT];
    uint16_t size[SENT];
} Outlet;

/* One track to one peer. */
typedef struct {
    PyObject_HEAD
    Outlet *outlet;
    unsigned int ssrc;
    long long begin, offset, timestamp_offset;
    int picture_offset, tl0_offset;
    unsigned long long packets, octets;
} Lane;

typedef struct {
    uint32_t at;
    uint16_t length;
    int next;
} Queued;

/* Messages for one sendmmsg, each the packets of one peer that one send can carry. */
typedef struct {
    struct mmsghdr messages[MESSAGES];
    struct iovec vectors[MAX_QUEUED];
    char control[MESSAGES][CMSG_SPACE(sizeof(uint16_t))];
    int count, vector_count;
    int segments[MESSAGES];
} Batch;

/* Datagrams of one recvmmsg. */
typedef struct {
    struct mmsghdr messages[BURST];
    struct iovec vectors[BURST];
    struct sockaddr_storage from[BURST];
    unsigned char data[BURST][MAX_DATAGRAM];
} Reading;

/* The socket, an arena, what waits in it, and whom it tells. */
typedef struct {
    PyObject_HEAD
    int socket;
    int can_segment;
    double asleep_after; /* then nobody is known */
    int is_reading;     /* what waits leaves when the reading ends */
    srtp_t protect, protect_rtcp, unprotect, unprotect_rtcp;
    PyObject *send;     /* takes (bytes, address) where a peer has no datagram address */
    PyObject *schedule; /* is called when the first packet of a turn waits: have `flush` called at its end */
    PyObject *route;    /* gets (bytes, address, now): what is no SRTP of anybody known */
    PyObject *unsent;   /* is told how many packets the socket did not take */
    PyObject *kept;     /* makes a stream.Kept */
    PyObject *ignore;   /* takes what nobody listens to */
    PyObject *invalid;  /* rtp.PacketInvalid */
    PyObject *inlets;   /* by address, as `address_key` writes it */
    Outlet *waiting[MAX_QUEUED];
    int waiting_count;
    Queued queued[MAX_QUEUED];
    int queued_count;
    uint32_t used;
    unsigned char *arena;
    Batch batch;
    Reading *reading;
} Fanout;

/* A packet as all lanes get it, and where its running numbers lie. */
typedef struct {
    const unsigned char *data;
    int size;
    long long extended;
    unsigned long timestamp;
    int picture_at, is_wide, tl0_at;
    double now;
} Packet;

/* When a publisher's packets came, by transport-wide sequence number, unwrapped. */
enum { MAX_ARRIVALS = 1024 }; /* as arrivals.MAX_ARRIVALS */
typedef struct {
    long long number;
    double at;
} Arrival;
typedef struct {
    int waiting;
    long long highest;   /* below 0: nothing has come yet */
    unsigned int count;  /* of feedback packets */
    Arrival list[MAX_ARRIVALS];
} Arrivals;

/* A feedback's packets: its first number, of 16 bits, and when each arrived, in microseconds by the receiver's clock. */
enum { MAX_FEEDBACK = 8192, LOST = -1 }; /* as rtcp.MAX_FEEDBACK */
typedef struct {
    unsigned int base;
    int count;
    long long arrivals[MAX_FEEDBACK];
} Told;

/* Whether the delay of a way grows. */
enum { WINDOW = 20 }; /* as delay.WINDOW */
typedef struct {
    double sent, arrived;
} Moment;
typedef struct {
    int state;
    int has_before, has_burst, is_over, has_stood;
    Moment before, burst;
    double burst_began;
    double delay, smoothed, least;
    double at[WINDOW], delays[WINDOW];
    int points;
    int count;
    double noise, threshold, slope, over_since, standing_since;
} Trend;

/* What `stream_take` says, beside a transport-wide sequence number, and `acknowledged_take`. */
enum { NO_NUMBER = -1, INVALID = -2, RAISED = -3 };

typedef struct Stream Stream;
typedef struct Acknowledged Acknowledged;

extern PyTypeObject OutletType, LaneType, FanoutType, StreamType, InletType, AcknowledgedType;

/* Send a packet along a list of lanes. Returns -1 with an exception set, else 0. */
int forward_packet(Fanout *self, const Packet *packet, PyObject *lanes);
/* Send all that waits; returns how many packets the socket did not take. */
int flush_all(Fanout *self);
/* Read "(host, port)"; `length` is 0 where it is no such address. Returns -1 with an exception set, else 0. */
int read_address(PyObject *value, struct sockaddr_storage *to, socklen_t *length);
/* Take the libsrtp contexts of an InboundSrtp or OutboundSrtp, or of None, and hold what keeps them alive. As read_address. */
int take_contexts(PyObject *srtp, PyObject **held, void **contexts, Py_ssize_t count);
/* Take a packet that is authentic; returns its transport-wide sequence number or one of the above. */
int stream_take(Stream *self, const unsigned char *data, int size, double now);

void arrivals_note(Arrivals *self, int number, double now);
/* Make feedback packets of what was noted since the last time. */
PyObject *arrivals_take(Arrivals *self, uint32_t media_ssrc);
/* Read a feedback's body, which begins with its sender's SSRC. Returns -1 where it is none. */
int read_feedback(const unsigned char *body, int size, Told *told);
void trend_begin(Trend *self);
/* Take a group, in the order of sending; `trend_look` comes after the last, with what `trend_latest` was before the first. */
void trend_take(Trend *self, double sent, double arrived);
double trend_latest(const Trend *self);
void trend_look(Trend *self, double since);

/* Take a feedback's body. Returns INVALID where it is none, RAISED with an exception set, else 0. */
int acknowledged_take(Acknowledged *self, const unsigned char *body, int size);
PyObject *fanout_acknowledged(Fanout *self, PyObject *outlet);
PyObject *fanout_stream(Fanout *self, PyObject *arguments);
PyObject *fanout_inlet(Fanout *self, PyObject *unused);
PyObject *fanout_know(Fanout *self, PyObject *arguments);
PyObject *fanout_forget(Fanout *self, PyObject *address);
PyObject *fanout_read(Fanout *self, PyObject *unused);

static inline unsigned int get16(const unsigned char *at)
{
    return (unsigned int)at[0] << 8 | at[1];
}

static inline uint32_t get32(const unsigned char *at)
{
    return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static inline void put16(unsigned char *at, unsigned int value)
{
    at[0] = (unsigned char)(value >> 8);
    at[1] = (unsigned char)value;
}

static inline void put32(unsigned char *at, unsigned long value)
{
    put16(at, (unsigned int)(value >> 16));
    put16(at + 2, (unsigned int)value);
}

#endif
