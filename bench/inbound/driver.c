/* SMTP load driver: keeps a number of connections busy with one message at a time each, for a given time.

   driver PORT CONNECTIONS WARM_UP SECONDS SIZE single|reuse plain|tls

   Speaks to 127.0.0.1 in lock step (no pipelining). `single`: a new connection, and with `tls` a full handshake, for each
   message. A reply that is not the wanted one ends the run with status 1: only messages that were accepted count.
   Latency of a message: with `single` from connect(), with `reuse` from MAIL, each to the reply to the final dot.
   Prints one JSON object: accepted (all), measured (within SECONDS after WARM_UP), seconds, p50_ms, p99_ms, cpu_ms (the
   driver's own time for each accepted message). One thread, epoll, no memory allocation in the loop but OpenSSL's. */

#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum stage { GREETING, HELLO, STARTTLS, HANDSHAKE, SECURE_HELLO, SENDER, RECIPIENT, DATA, MESSAGE, GOODBYE, END };

struct connection {
    int fd;
    enum stage stage;
    SSL *ssl;
    char in[4096];
    size_t in_length;
    const char *out;
    size_t out_left;
    double began;
};

static const char HELLO_LINE[] = "EHLO client.bench.test\r\n", STARTTLS_LINE[] = "STARTTLS\r\n",
                  SENDER_LINE[] = "MAIL FROM:<sender@client.test>\r\n", RECIPIENT_LINE[] = "RCPT TO:<joe@bench.test>\r\n",
                  DATA_LINE[] = "DATA\r\n", QUIT_LINE[] = "QUIT\r\n";

static int port, epoll, reuse, tls;
static char *message;
static size_t message_length;
static SSL_CTX *context;
static double measure_from, measure_to, *latencies;
static size_t accepted, measured, room;

static double now(void) {
    struct timespec moment;
    clock_gettime(CLOCK_MONOTONIC, &moment);
    return moment.tv_sec + moment.tv_nsec / 1e9;
}

static void fail(const char *what, const char *detail) {
    fprintf(stderr, "%s: %s\n", what, detail);
    exit(1);
}

static void make_message(size_t size) {
    static const char header[] = "From: <sender@client.test>\r\nTo: <joe@bench.test>\r\nSubject: benchmark\r\n"
                                 "Date: Fri, 06 Mar 2026 09:00:00 +0000\r\nMessage-ID: <1@client.test>\r\n\r\n";
    static const char line[] = "The quick brown fox jumps over the lazy dog, again and again, 0123456789.\r\n";
    message = malloc(size + 8);
    size_t at = sizeof header - 1;
    memcpy(message, header, at);
    for (; at + sizeof line - 1 <= size; at += sizeof line - 1)
        memcpy(message + at, line, sizeof line - 1);
    for (; at + 2 < size; at++)
        message[at] = 'x';
    memcpy(message + at, "\r\n.\r\n", 5);
    message_length = at + 5;
}

static void listen_for(struct connection *c, uint32_t events, int how) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(epoll, how, c->fd, &event))
        fail("epoll_ctl", strerror(errno));
}

static void open_connection(struct connection *c) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->stage = GREETING;
    c->in_length = c->out_left = 0;
    c->ssl = NULL;
    c->began = now();
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS)
        fail("connect", strerror(errno));
    listen_for(c, EPOLLIN, EPOLL_CTL_ADD);
}

static void flush(struct connection *c) {
    while (c->out_left) {
        long done = c->ssl ? SSL_write(c->ssl, c->out, c->out_left) : send(c->fd, c->out, c->out_left, MSG_NOSIGNAL);
        if (done > 0) {
            c->out += done;
            c->out_left -= done;
        } else if (c->ssl ? SSL_get_error(c->ssl, done) == SSL_ERROR_WANT_WRITE : errno == EAGAIN) {
            listen_for(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
            return;
        } else
            fail("send", strerror(errno));
    }
}

static void say(struct connection *c, const char *text, size_t length, enum stage next) {
    c->stage = next;
    c->out = text;
    c->out_left = length;
    flush(c);
}

#define SAY(c, text, next) say(c, text, sizeof text - 1, next)

static void count(struct connection *c) {
    double moment = now();
    accepted++;
    if (moment < measure_from || moment >= measure_to)
        return;
    if (measured == room)
        latencies = realloc(latencies, (room = room ? 2 * room : 65536) * sizeof *latencies);
    latencies[measured++] = moment - c->began;
}

static void handshake(struct connection *c) {
    int done = SSL_do_handshake(c->ssl);
    if (done == 1) {
        listen_for(c, EPOLLIN, EPOLL_CTL_MOD);
        SAY(c, HELLO_LINE, SECURE_HELLO);
        return;
    }
    int error = SSL_get_error(c->ssl, done);
    if (error == SSL_ERROR_WANT_WRITE)
        listen_for(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
    else if (error != SSL_ERROR_WANT_READ)
        fail("handshake", "failed");
}

static void answered(struct connection *c, const char *reply) {
    static const char *wanted[] = {"220", "250", "220", "", "250", "250", "250", "354", "250", "221", ""};
    if (strncmp(reply, wanted[c->stage], 3))
        fail("unwanted reply", reply);
    switch (c->stage) {
    case GREETING:
        SAY(c, HELLO_LINE, HELLO);
        break;
    case HELLO:
        if (tls)
            SAY(c, STARTTLS_LINE, STARTTLS);
        else
            SAY(c, SENDER_LINE, SENDER);
        break;
    case STARTTLS:
        c->ssl = SSL_new(context);
        SSL_set_fd(c->ssl, c->fd);
        SSL_set_connect_state(c->ssl);
        c->stage = HANDSHAKE;
        handshake(c);
        break;
    case SECURE_HELLO:
        SAY(c, SENDER_LINE, SENDER);
        break;
    case SENDER:
        SAY(c, RECIPIENT_LINE, RECIPIENT);
        break;
    case RECIPIENT:
        SAY(c, DATA_LINE, DATA);
        break;
    case DATA:
        say(c, message, message_length, MESSAGE);
        break;
    case MESSAGE:
        count(c);
        if (reuse) {
            c->began = now();
            SAY(c, SENDER_LINE, SENDER);
        } else
            SAY(c, QUIT_LINE, GOODBYE);
        break;
    default:
        c->stage = END;
    }
}

static void close_connection(struct connection *c) {
    if (c->ssl)
        SSL_free(c->ssl);
    close(c->fd);
}

/* The last line of a reply has a blank behind its code. */
static int whole_reply(struct connection *c) {
    char *line = c->in, *end;
    while ((end = memchr(line, '\n', c->in + c->in_length - line))) {
        if (end - line >= 4 && line[3] == ' ')
            return 1;
        line = end + 1;
    }
    return 0;
}

static void readable(struct connection *c) {
    if (c->stage == HANDSHAKE) {
        handshake(c);
        return;
    }
    for (;;) {
        size_t free_room = sizeof c->in - 1 - c->in_length;
        long got = c->ssl ? SSL_read(c->ssl, c->in + c->in_length, free_room) : recv(c->fd, c->in + c->in_length, free_room, 0);
        if (got <= 0) {
            if (c->ssl ? SSL_get_error(c->ssl, got) == SSL_ERROR_WANT_READ : got < 0 && errno == EAGAIN)
                return;
            if (c->stage != END)
                fail("connection lost", c->in_length ? c->in : "no reply");
            close_connection(c);
            open_connection(c);
            return;
        }
        c->in_length += got;
        c->in[c->in_length] = 0;
        if (c->stage != END && whole_reply(c)) {
            c->in_length = 0;
            answered(c, c->in);
        }
        if (c->stage == HANDSHAKE || (!c->ssl && c->stage != END))
            return;
    }
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    if (argc != 8)
        fail("usage", "driver PORT CONNECTIONS WARM_UP SECONDS SIZE single|reuse plain|tls");
    signal(SIGPIPE, SIG_IGN);
    port = atoi(argv[1]);
    int connections = atoi(argv[2]);
    double warm_up = atof(argv[3]), seconds = atof(argv[4]);
    make_message(atol(argv[5]));
    reuse = !strcmp(argv[6], "reuse");
    tls = !strcmp(argv[7], "tls");
    context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    measure_from = now() + warm_up;
    measure_to = measure_from + seconds;
    struct connection *all = calloc(connections, sizeof *all);
    for (int n = 0; n < connections; n++)
        open_connection(&all[n]);
    struct epoll_event events[256];
    while (now() < measure_to) {
        int count = epoll_wait(epoll, events, 256, 100);
        for (int n = 0; n < count; n++) {
            struct connection *c = events[n].data.ptr;
            if (events[n].events & EPOLLOUT) {
                listen_for(c, EPOLLIN, EPOLL_CTL_MOD);
                if (c->stage == HANDSHAKE)
                    handshake(c);
                else
                    flush(c);
            }
            if (events[n].events & ~EPOLLOUT)
                readable(c);
        }
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    if (!measured)
        fail("no message", "was accepted in time");
    qsort(latencies, measured, sizeof *latencies, by_size);
    printf("{\"accepted\": %zu, \"measured\": %zu, \"seconds\": %.3f, \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"cpu_ms\": %.4f}\n", accepted,
           measured, seconds, latencies[measured / 2] * 1e3, latencies[measured * 99 / 100] * 1e3, cpu * 1e3 / accepted);
    return 0;
}
