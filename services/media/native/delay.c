/* Whether the delay of a way grows: what delay.py does, in the same order of operations, so that both say the same. */
#include "native.h"

#include <math.h>

/* As in delay.py. */
#define BURST_MS 5.0
#define MAX_BURST_MS 100.0
#define SMOOTHING 0.9
#define GAIN 4.0
#define THRESHOLD_START_MS 12.5
#define LEAST_THRESHOLD_MS 6.0
#define MOST_THRESHOLD_MS 600.0
#define NOISE 1.0
#define STANDING_MS 120.0
#define PATIENCE_MS 1000.0
#define LEAP_MS 3000.0
enum { MAX_DELTAS = 60 };

void trend_begin(Trend *self)
{
    memset(self, 0, sizeof *self);
    self->threshold = THRESHOLD_START_MS;
}

double trend_latest(const Trend *self)
{
    return self->points ? self->at[self->points - 1] : 0;
}

static void add_point(Trend *self, double at, double delay)
{
    if (self->points == WINDOW) {
        memmove(self->at, self->at + 1, (WINDOW - 1) * sizeof *self->at);
        memmove(self->delays, self->delays + 1, (WINDOW - 1) * sizeof *self->delays);
        self->points--;
    }
    self->at[self->points] = at;
    self->delays[self->points++] = delay;
}

static void compare(Trend *self, Moment before, Moment burst)
{
    double sent = burst.sent - before.sent, arrived = burst.arrived - before.arrived;

    if (arrived - sent <= -1000 || arrived - sent >= LEAP_MS || sent > 2000) { /* the receiver's clock leapt, or nothing was sent */
        self->state = self->is_over = 0;
        self->points = 0;
        self->least = self->smoothed = self->delay;
        return;
    }
    if (self->count < MAX_DELTAS)
        self->count++;
    self->delay = self->delay + arrived - sent;
    self->least = fmin(self->least, self->delay);
    self->smoothed += (1 - SMOOTHING) * (self->delay - self->smoothed);
    self->noise += (1 - SMOOTHING) * (fabs(self->delay - self->smoothed) - self->noise);
    add_point(self, burst.arrived, self->smoothed);
}

/* Tell whether a group belongs to the burst that is being read. */
static int joins(const Trend *self, double sent, double arrived)
{
    double later = arrived - self->burst.arrived;
    int is_near = later <= BURST_MS && later < sent - self->burst.sent;

    return is_near && arrived - self->burst_began < MAX_BURST_MS;
}

void trend_take(Trend *self, double sent, double arrived)
{
    if (!self->has_burst || !joins(self, sent, arrived)) {
        if (self->has_burst) {
            if (self->has_before)
                compare(self, self->before, self->burst);
            self->before = self->burst;
            self->has_before = 1;
        }
        self->burst_began = arrived;
    }
    self->burst = (Moment){sent, arrived};
    self->has_burst = 1;
}

/* Fit a line; its slope is milliseconds of delay by milliseconds. */
static double fit(const Trend *self)
{
    double sum_x = 0, sum_y = 0, sum_xx = 0, sum_xy = 0, spread;

    for (int i = 0; i < self->points; i++) {
        double x = self->at[i] - self->at[0], y = self->delays[i];
        sum_x += x;
        sum_y += y;
        sum_xx += x * x;
        sum_xy += x * y;
    }
    spread = self->points * sum_xx - sum_x * sum_x;
    return spread != 0 ? (self->points * sum_xy - sum_x * sum_y) / spread : 0;
}

static void adapt_threshold(Trend *self, double distance, double sent)
{
    double rate = distance > 0 ? 0.0087 : 0.039;

    if (distance >= 15) /* what is far off is a leap, not a trend */
        return;
    self->threshold += rate * distance * (sent < 100 ? sent : 100);
    self->threshold = fmax(LEAST_THRESHOLD_MS, fmin(MOST_THRESHOLD_MS, self->threshold));
}

/* Tell whether there is a queue that does not grow only because it is full. */
static int is_standing(Trend *self, double now)
{
    if (self->smoothed - self->least <= STANDING_MS)
        return self->has_stood = 0;
    if (!self->has_stood) {
        self->has_stood = 1;
        self->standing_since = now;
    }
    if (now - self->standing_since <= PATIENCE_MS)
        return 1;
    self->least = self->smoothed;
    return self->has_stood = 0;
}

static void detect(Trend *self, double slope, double sent, double now)
{
    double modified = self->count * slope * GAIN;
    double rise = slope * (now - self->at[0]);
    int stands;

    if (modified > self->threshold) {
        if (!self->is_over) { /* one look alone may have been at a moment's jitter */
            self->is_over = 1;
            self->over_since = now;
        }
        if (now - self->over_since > 10 && slope >= self->slope && rise > NOISE * self->noise)
            self->state = 1;
    } else {
        self->is_over = 0;
        stands = is_standing(self, now);
        self->state = modified < -self->threshold ? -1 : stands;
    }
    self->slope = slope;
    adapt_threshold(self, fabs(modified) - self->threshold, sent);
}

void trend_look(Trend *self, double since)
{
    double latest = trend_latest(self);

    if (self->points == WINDOW && latest > since)
        detect(self, fit(self), since != 0 ? latest - since : 0, latest);
}
