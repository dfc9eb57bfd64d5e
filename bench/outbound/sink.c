/* A mail server that takes everything and keeps nothing: the other end of the delivery benchmark.

   sink COUNT [CERTIFICATE KEY]      offers STARTTLS when a certificate is given (PEM files)

   One thread, epoll, no allocation per message, so that what is measured is the sender. Lines on standard output:
     port N               the port of 127.0.0.1 on which it listens
     first                the first message has been taken
     done SECONDS CONNECTIONS TLS      COUNT messages taken: time from the first to the last one, connections, those in TLS
   It goes on serving until standard input is closed. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 65536, KEPT = 4, EVENTS = 256 };
enum state { COMMAND, CONTENT, HANDSHAKE, GONE };

struct visit {
    int fd;
    SSL *tls;
    enum state state;
    size_t used; /* octets of `in` that wait */
    size_t answered;
    char in[ROOM];
    char out[4096];
};

static SSL_CTX *context;
static long wanted, taken, visits, encrypted;
static struct timespec begin;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void say(struct visit *v, const char *text) {
    size_t length = strlen(text);
    if (v->answered + length < sizeof v->out) {
        memcpy(v->out + v->answered, text, length);
        v->answered += length;
    }
}

/* Everything that was said since the last call leaves in one write. A peer that reads no answers is left alone. */
static void send_answers(struct visit *v) {
    if (!v->answered) return;
    ssize_t sent = v->tls && v->state != HANDSHAKE ? SSL_write(v->tls, v->out, (int)v->answered)
                                                   : send(v->fd, v->out, v->answered, MSG_NOSIGNAL);
    if (sent != (ssize_t)v->answered) v->state = GONE;
    v->answered = 0;
}

static void message(struct visit *v) {
    say(v, "250 2.0.0 Ok: queued as sink\r\n");
    if (++taken == 1) {
        clock_gettime(CLOCK_MONOTONIC, &begin);
        puts("first");
    }
    if (taken == wanted) {
        struct timespec end;
        clock_gettime(CLOCK_MONOTONIC, &end);
        double seconds = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
        printf("done %.6f %ld %ld\n", seconds, visits, encrypted);
    }
}

static void command(struct visit *v, const char *line) {
    if (!strncasecmp(line, "EHLO", 4)) {
        say(v, "250-sink.test\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n");
        if (context && !v->tls) say(v, "250-STARTTLS\r\n");
        say(v, "250 8BITMIME\r\n");
    } else if (!strncasecmp(line, "DATA", 4)) {
        say(v, "354 End data with <CR><LF>.<CR><LF>\r\n");
        v->state = CONTENT;
    } else if (!strncasecmp(line, "QUIT", 4)) {
        say(v, "221 2.0.0 Bye\r\n");
        send_answers(v);
        v->state = GONE;
    } else if (!strncasecmp(line, "STARTTLS", 8) && context && !v->tls) {
        say(v, "220 2.0.0 Ready to start TLS\r\n");
        send_answers(v);
        v->tls = SSL_new(context);
        SSL_set_fd(v->tls, v->fd);
        SSL_set_accept_state(v->tls);
        v->state = HANDSHAKE;
    } else {
        say(v, "250 2.0.0 Ok\r\n");
    }
}

/* Take what is complete off the buffer. Of content only its last octets are kept, for a final dot that comes in pieces. */
static void consume(struct visit *v) {
    size_t at = 0;
    while (v->state == COMMAND || v->state == CONTENT) {
        char *here = v->in + at;
        size_t left = v->used - at;
        if (v->state == COMMAND) {
            char *end = memchr(here, '\n', left);
            if (!end) break;
            *end = 0;
            at += (size_t)(end - here) + 1;
            command(v, here);
            if (v->state == CONTENT) { /* a final dot may follow at once: the line end before it is that of DATA */
                at -= 2;
                memcpy(v->in + at, "\r\n", 2);
            }
        } else {
            char *end = memmem(here, left, "\r\n.\r\n", 5);
            if (!end) {
                if (left > KEPT) at = v->used - KEPT;
                break;
            }
            at += (size_t)(end - here) + 5;
            v->state = COMMAND;
            message(v);
        }
    }
    if (v->state == GONE || v->state == HANDSHAKE) at = v->used;
    memmove(v->in, v->in + at, v->used - at);
    v->used -= at;
}

static void handshake(struct visit *v) {
    ERR_clear_error();
    int done = SSL_do_handshake(v->tls);
    if (done == 1) {
        v->state = COMMAND;
        encrypted++;
    } else if (SSL_get_error(v->tls, done) != SSL_ERROR_WANT_READ) {
        v->state = GONE;
    }
}

static void readable(struct visit *v) {
    for (;;) {
        if (v->state == HANDSHAKE) handshake(v);
        if (v->state == HANDSHAKE || v->state == GONE) return;
        size_t room = ROOM - v->used;
        ssize_t got;
        if (v->tls) {
            ERR_clear_error();
            got = SSL_read(v->tls, v->in + v->used, (int)room);
            if (got <= 0 && SSL_get_error(v->tls, (int)got) == SSL_ERROR_WANT_READ) return;
        } else {
            got = recv(v->fd, v->in + v->used, room, 0);
            if (got < 0 && errno == EAGAIN) return;
        }
        if (got <= 0) {
            v->state = GONE;
            return;
        }
        v->used += (size_t)got;
        consume(v);
        send_answers(v);
        if (v->state == GONE || v->used == ROOM) {
            v->state = GONE;
            return;
        }
        if (!v->tls && (size_t)got < room) return;
    }
}

static void welcome(int poll, int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
        if (fd < 0) return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct visit *v = malloc(sizeof *v);
        if (!v) die("malloc");
        v->fd = fd;
        v->tls = NULL;
        v->state = COMMAND;
        v->used = v->answered = 0;
        visits++;
        say(v, "220 sink.test ESMTP\r\n");
        send_answers(v);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = v};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl");
    }
}

int main(int argc, char **argv) {
    if (argc != 2 && argc != 4) {
        fputs("usage: sink COUNT [CERTIFICATE KEY]\n", stderr);
        return 2;
    }
    wanted = atol(argv[1]);
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 4) {
        context = SSL_CTX_new(TLS_server_method());
        if (!context || SSL_CTX_use_certificate_chain_file(context, argv[2]) != 1 ||
            SSL_CTX_use_PrivateKey_file(context, argv[3], SSL_FILETYPE_PEM) != 1) {
            ERR_print_errors_fp(stderr);
            return 1;
        }
        SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), poll = epoll_create1(EPOLL_CLOEXEC);
    if (listener < 0 || poll < 0) die("socket");
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) die("listen");
    if (getsockname(listener, (struct sockaddr *)&address, &length)) die("getsockname");
    printf("port %d\n", ntohs(address.sin_port));
    struct epoll_event events[EVENTS] = {{.events = EPOLLIN, .data.ptr = &listener}}, end = {.events = EPOLLIN, .data.ptr = &end};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, listener, &events[0]) || epoll_ctl(poll, EPOLL_CTL_ADD, 0, &end)) die("epoll_ctl");
    for (;;) {
        int count = epoll_wait(poll, events, EVENTS, -1);
        if (count < 0 && errno != EINTR) die("epoll_wait");
        for (int n = 0; n < count; n++) {
            if (events[n].data.ptr == &end) return 0;
            if (events[n].data.ptr == &listener) {
                welcome(poll, listener);
                continue;
            }
            struct visit *v = events[n].data.ptr;
            readable(v);
            if (v->state == GONE) {
                if (v->tls) {
                    SSL_shutdown(v->tls);
                    SSL_free(v->tls);
                }
                close(v->fd);
                free(v);
            }
        }
    }
}
