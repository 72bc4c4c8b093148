// What the raw peer is made of: librabbitmq as its examples use it, and no JSON.
#ifndef RAW_H
#define RAW_H

#include <amqp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// One connection with one channel, and the body of the message that was read last.
struct link {
    amqp_connection_state_t connection;
    char *body;
    size_t capacity;
};

struct message {
    enum { DELIVERY, CONFIRM, OTHER } kind;
    uint64_t tag; // of the delivery, or the last one that the broker confirms
    // Both are valid until the next message is read.
    const amqp_basic_properties_t *properties;
    amqp_bytes_t body;
};

// Each ends the program, and says why, when the broker or the library refuses.
void require(int status, const char *what);
void require_reply(struct link *link, const char *what);

struct link open_link(void); // to the broker of AMQP_URL
void declare_queue(struct link *link, const char *name, bool exclusive);
void consume(struct link *link, const char *queue);
void publish(struct link *link, const char *exchange, amqp_bytes_t key, const amqp_basic_properties_t *properties,
             amqp_bytes_t body);
void acknowledge(struct link *link, uint64_t tag);
void read_message(struct link *link, struct message *message);

double seconds_now(void);
double cpu_seconds(void);

#endif
