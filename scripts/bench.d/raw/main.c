// The raw peer of scripts/bench: what librabbitmq itself costs, with one thread, an ack for each message, and no JSON.
//
//   raw server --topic T --mode echo|drain|fanout [--k QUEUES] [--n MESSAGES]
//   raw call   --topic T --callers C --n CALLS --warmup CALLS --payload FILE
//   raw cast   --topic T --n MESSAGES --payload FILE [--confirm WINDOW] [--mode topic|fanout]
//   raw purge  --topic T
//
// The server prints READY, and in the modes drain and fanout a line DONE with figures after MESSAGES; the others print
// figures as one line of JSON. `purge` empties the queue T, also one of another peer.
#include "raw.h"

#include <amqp_framing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHANNEL = 1, PREFETCH = 64 };

static struct {
    const char *topic, *mode, *payload;
    long callers, count, warmup, window, queues;
} options = {.topic = "", .mode = "", .callers = 1, .count = 1, .queues = 1};

// The start of a measurement.
static double started, cpu_started;
static void start_measuring(void) {
    started = seconds_now();
    cpu_started = cpu_seconds();
}
static void print_figures(const char *prefix, const char *latencies) {
    const double cpu = cpu_seconds() - cpu_started, elapsed = seconds_now() - started;
    printf("%s{\"n\": %ld, \"seconds\": %.6f, \"rate\": %.1f, \"cpu_s\": %.6f%s}\n", prefix, options.count,
           elapsed, options.count / elapsed, cpu, latencies);
    fflush(stdout);
}

static amqp_bytes_t read_payload(void) {
    FILE *file = fopen(options.payload ? options.payload : "", "rb");
    if (!file) {
        perror("error: --payload");
        exit(1);
    }
    const size_t limit = 16 << 20;
    amqp_bytes_t payload = {0, malloc(limit)};
    payload.len = fread(payload.bytes, 1, limit, file);
    fclose(file);
    return payload;
}

static amqp_basic_properties_t transient_json(void) {
    return (amqp_basic_properties_t){
        ._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG,
        .content_type = amqp_cstring_bytes("application/json"),
        .delivery_mode = 1,
    };
}

// --- server

static void listen_to_fanout(struct link *link) {
    amqp_exchange_declare(link->connection, CHANNEL, amqp_cstring_bytes(options.topic), amqp_cstring_bytes("fanout"), false,
                          false, true, false, amqp_empty_table);
    require_reply(link, "declare an exchange");
    for (long number = 0; number < options.queues; number++) {
        char name[300];
        snprintf(name, sizeof name, "%.200s_%d_%ld", options.topic, getpid(), number);
        declare_queue(link, name, true);
        amqp_queue_bind(link->connection, CHANNEL, amqp_cstring_bytes(name), amqp_cstring_bytes(options.topic),
                        amqp_empty_bytes, amqp_empty_table);
        require_reply(link, "bind");
        consume(link, name);
    }
}

static void answer(struct link *link, const struct message *message) {
    amqp_basic_properties_t properties = transient_json();
    properties._flags |= AMQP_BASIC_CORRELATION_ID_FLAG;
    properties.correlation_id = message->properties->correlation_id;
    publish(link, "", message->properties->reply_to, &properties, message->body);
}

static void serve(void) {
    struct link link = open_link();
    amqp_basic_qos(link.connection, CHANNEL, 0, PREFETCH, false);
    require_reply(&link, "limit the prefetch");
    if (!strcmp(options.mode, "fanout")) {
        listen_to_fanout(&link);
    } else {
        declare_queue(&link, options.topic, false);
        consume(&link, options.topic);
    }
    puts("READY");
    fflush(stdout);
    const bool echoes = !strcmp(options.mode, "echo");
    const long messages = options.count;
    long seen = 0;
    for (;;) {
        struct message message;
        read_message(&link, &message);
        if (message.kind != DELIVERY) continue;
        if (seen == 0) start_measuring();
        acknowledge(&link, message.tag);
        if (echoes) answer(&link, &message);
        if (++seen == messages && !echoes) {
            print_figures("DONE ", "");
            seen = 0;
        }
    }
}

// --- call

static int ascending(const void *left, const void *right) {
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void request(struct link *link, const char *reply_queue, long number, amqp_bytes_t payload) {
    char id[24];
    amqp_basic_properties_t properties = transient_json();
    properties._flags |= AMQP_BASIC_CORRELATION_ID_FLAG | AMQP_BASIC_REPLY_TO_FLAG;
    properties.correlation_id = (amqp_bytes_t){snprintf(id, sizeof id, "%ld", number), id};
    properties.reply_to = amqp_cstring_bytes(reply_queue);
    publish(link, "", amqp_cstring_bytes(options.topic), &properties, payload);
}

// The number that `request` wrote; -1 for what is none of ours.
static long number_of(const struct message *message, long limit) {
    const amqp_bytes_t id = message->properties->correlation_id;
    char text[24] = "";
    if (id.len == 0 || id.len >= sizeof text) return -1;
    memcpy(text, id.bytes, id.len);
    const long number = atol(text);
    return number < limit ? number : -1;
}

static void call(void) {
    struct link link = open_link();
    const amqp_bytes_t payload = read_payload();
    char reply_queue[64];
    snprintf(reply_queue, sizeof reply_queue, "reply_%d", getpid());
    declare_queue(&link, reply_queue, true);
    consume(&link, reply_queue);
    const long total = options.warmup + options.count;
    double *times = calloc(total, sizeof *times);
    long sent = 0, answered = 0;
    start_measuring();
    while (answered < total) {
        while (sent < total && sent - answered < options.callers) {
            times[sent] = seconds_now();
            request(&link, reply_queue, sent++, payload);
        }
        struct message message;
        read_message(&link, &message);
        if (message.kind != DELIVERY) continue;
        acknowledge(&link, message.tag);
        const long number = number_of(&message, total);
        if (number < 0) continue;
        times[number] = seconds_now() - times[number];
        if (++answered == options.warmup) start_measuring();
    }
    char latencies[80];
    double *measured = times + options.warmup;
    qsort(measured, options.count, sizeof *measured, ascending);
    snprintf(latencies, sizeof latencies, ", \"p50_us\": %.1f, \"p99_us\": %.1f", measured[options.count / 2] * 1e6,
             measured[options.count * 99 / 100] * 1e6);
    print_figures("", latencies);
}

// --- cast

static void cast(void) {
    struct link link = open_link();
    const amqp_bytes_t payload = read_payload();
    const bool to_all = !strcmp(options.mode, "fanout");
    const amqp_basic_properties_t properties = transient_json();
    if (!to_all) declare_queue(&link, options.topic, false);
    if (options.window > 0) {
        amqp_confirm_select(link.connection, CHANNEL);
        require_reply(&link, "ask for confirms");
    }
    uint64_t confirmed = 0;
    start_measuring();
    for (long sent = 1; sent <= options.count; sent++) {
        publish(&link, to_all ? options.topic : "", to_all ? amqp_empty_bytes : amqp_cstring_bytes(options.topic), &properties,
                payload);
        // At the end all of them are waited for.
        const long allowed = sent == options.count ? 0 : options.window - 1;
        while (options.window > 0 && sent - (long)confirmed > allowed) {
            struct message message;
            read_message(&link, &message);
            if (message.kind == CONFIRM && message.tag > confirmed) confirmed = message.tag;
        }
    }
    // The broker answers this only when it has taken in what came before on the channel.
    amqp_basic_qos(link.connection, CHANNEL, 0, 0, false);
    require_reply(&link, "synchronize");
    print_figures("", "");
}

static void purge(void) {
    struct link link = open_link();
    amqp_queue_purge(link.connection, CHANNEL, amqp_cstring_bytes(options.topic));
    require_reply(&link, "empty a queue");
    amqp_connection_close(link.connection, AMQP_REPLY_SUCCESS);
}

static bool parse(int count, char **arguments) {
    const struct {
        const char *name;
        const char **text;
        long *number;
    } known[] = {
        {"--topic", &options.topic, NULL},     {"--mode", &options.mode, NULL},     {"--payload", &options.payload, NULL},
        {"--callers", NULL, &options.callers}, {"--n", NULL, &options.count},       {"--warmup", NULL, &options.warmup},
        {"--confirm", NULL, &options.window},  {"--k", NULL, &options.queues},
    };
    for (int index = 0; index < count; index += 2) {
        bool found = false;
        for (size_t entry = 0; entry < sizeof known / sizeof *known; entry++) {
            if (index + 1 >= count || strcmp(arguments[index], known[entry].name)) continue;
            found = true;
            if (known[entry].text) *known[entry].text = arguments[index + 1];
            if (known[entry].number) *known[entry].number = atol(arguments[index + 1]);
        }
        if (!found) return false;
    }
    return options.count > 0 && options.callers > 0 && options.warmup >= 0 && *options.topic;
}

int main(int count, char **arguments) {
    const char *command = count > 1 ? arguments[1] : "";
    if (parse(count - 2, arguments + 2)) {
        if (!strcmp(command, "server")) return serve(), 0;
        if (!strcmp(command, "call")) return call(), 0;
        if (!strcmp(command, "cast")) return cast(), 0;
        if (!strcmp(command, "purge")) return purge(), 0;
    }
    fprintf(stderr, "error: see the head of main.c for commands and options\n");
    return 2;
}
