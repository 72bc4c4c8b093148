// A connection, and messages in both directions.
#include "raw.h"

#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static const int channel = 1;

static void fail(const char *what, const char *why) {
    fprintf(stderr, "error: %s: %s\n", what, why);
    exit(1);
}

void require(int status, const char *what) {
    if (status != AMQP_STATUS_OK) fail(what, amqp_error_string2(status));
}

static void require_normal(amqp_rpc_reply_t reply, const char *what) {
    if (reply.reply_type == AMQP_RESPONSE_NORMAL) return;
    if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION) fail(what, "the broker refused");
    fail(what, amqp_error_string2(reply.library_error));
}

void require_reply(struct link *link, const char *what) { require_normal(amqp_get_rpc_reply(link->connection), what); }

struct link open_link(void) {
    const char *variable = getenv("AMQP_URL");
    if (!variable) fail("AMQP_URL", "is not set");
    // The parts point into the text, and the library writes into it.
    char *url = strdup(variable);
    struct amqp_connection_info info;
    amqp_default_connection_info(&info);
    require(amqp_parse_url(url, &info), "AMQP_URL");

    struct link link = {.connection = amqp_new_connection()};
    amqp_socket_t *socket = amqp_tcp_socket_new(link.connection);
    require(amqp_socket_open(socket, info.host, info.port), "connect");
    require_normal(amqp_login(link.connection, info.vhost, 0, 131072, 60, AMQP_SASL_METHOD_PLAIN, info.user, info.password),
                   "log in");
    amqp_channel_open(link.connection, channel);
    require_reply(&link, "open a channel");
    free(url);
    return link;
}

void declare_queue(struct link *link, const char *name, bool exclusive) {
    amqp_queue_declare(link->connection, channel, amqp_cstring_bytes(name), false, false, exclusive, exclusive,
                       amqp_empty_table);
    require_reply(link, "declare a queue");
}

void consume(struct link *link, const char *queue) {
    amqp_basic_consume(link->connection, channel, amqp_cstring_bytes(queue), amqp_empty_bytes, false, false, false,
                       amqp_empty_table);
    require_reply(link, "consume");
}

void publish(struct link *link, const char *exchange, amqp_bytes_t key, const amqp_basic_properties_t *properties,
             amqp_bytes_t body) {
    require(amqp_basic_publish(link->connection, channel, amqp_cstring_bytes(exchange), key, false, false, properties, body),
            "publish");
}

void acknowledge(struct link *link, uint64_t tag) {
    require(amqp_basic_ack(link->connection, channel, tag, false), "acknowledge");
}

static void read_content(struct link *link, struct message *message) {
    amqp_frame_t frame;
    require(amqp_simple_wait_frame(link->connection, &frame), "read a header");
    message->properties = frame.payload.properties.decoded;
    const size_t size = frame.payload.properties.body_size;
    if (size > link->capacity) {
        link->capacity = 2 * size;
        link->body = realloc(link->body, link->capacity);
        if (!link->body) fail("read a body", "out of memory");
    }
    size_t count = 0;
    while (count < size) {
        require(amqp_simple_wait_frame(link->connection, &frame), "read a body");
        const amqp_bytes_t part = frame.payload.body_fragment;
        if (part.len > size - count) fail("read a body", "it is longer than announced");
        memcpy(link->body + count, part.bytes, part.len);
        count += part.len;
    }
    message->body = (amqp_bytes_t){size, link->body};
}

void read_message(struct link *link, struct message *message) {
    amqp_frame_t frame;
    amqp_maybe_release_buffers(link->connection);
    require(amqp_simple_wait_frame(link->connection, &frame), "read");
    message->kind = OTHER;
    if (frame.frame_type != AMQP_FRAME_METHOD) return;
    const amqp_method_t method = frame.payload.method;
    switch (method.id) {
    case AMQP_BASIC_DELIVER_METHOD:
        message->kind = DELIVERY;
        message->tag = ((amqp_basic_deliver_t *)method.decoded)->delivery_tag;
        read_content(link, message);
        break;
    case AMQP_BASIC_ACK_METHOD:
        message->kind = CONFIRM;
        message->tag = ((amqp_basic_ack_t *)method.decoded)->delivery_tag;
        break;
    case AMQP_CHANNEL_CLOSE_METHOD:
    case AMQP_CONNECTION_CLOSE_METHOD:
        fail("read", "the broker closed");
    }
}

double seconds_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec * 1e-9;
}

double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    const struct timeval user = usage.ru_utime, system = usage.ru_stime;
    return user.tv_sec + system.tv_sec + (user.tv_usec + system.tv_usec) * 1e-6;
}
