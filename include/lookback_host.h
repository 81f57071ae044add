/*
 * The host's binary interface for an external input plugin, as far as lookback uses it.
 *
 * These are facts about Fluent Bit 2.2 to 5.1, written down anew: names are ours where the
 * linker does not care. Sizes and offsets are what counts.
 */
#ifndef LOOKBACK_HOST_H
#define LOOKBACK_HOST_H

#include <stddef.h>
#include <stdint.h>

/* Values of lookback_def.type and lookback_def.proxy. */
#define LOOKBACK_TYPE_INPUT 1
#define LOOKBACK_PROXY_NATIVE 11

/* What FLBPluginInit and the callbacks return. */
#define LOOKBACK_ERROR 0
#define LOOKBACK_OK 1

/* Levels of log_print and input_log_check. */
#define LOOKBACK_LOG_ERROR 1
#define LOOKBACK_LOG_WARN 2
#define LOOKBACK_LOG_INFO 3
#define LOOKBACK_LOG_DEBUG 4

/*
 * Given to FLBPluginRegister: the host's memory, not zeroed by every version. Newer versions have
 * more fields behind these; older ones end here, so nothing behind `description` may be written.
 */
struct lookback_def {
    int type;
    int proxy;
    int flags;
    char *name;
    char *description;
};

/* The host's services. Newer versions have more fields behind these. */
struct lookback_api {
    const char *(*output_get_property)(const char *, void *);
    const char *(*input_get_property)(const char *, void *);
    void *(*output_get_cmt_instance)(void *);
    void *(*input_get_cmt_instance)(void *);
    void (*log_print)(int level, const char *file, int line, const char *format, ...);
    int (*input_log_check)(void *instance, int level);
    int (*output_log_check)(void *instance, int level);
};

/* Given to FLBPluginInit: one for all instances of the plugin, overwritten for each. */
struct lookback_plugin {
    char *name;
    struct lookback_api *api;
    void *instance;
    void *context;
};

/* Symbols of the host's executable, found by name. */
typedef int (*lookback_log_append_fn)(void *instance, const char *tag, size_t tag_len,
                                      const void *buffer, size_t size);
typedef const char *(*lookback_input_name_fn)(void *instance);
typedef void *(*lookback_metric_create_fn)(void *context, const char *ns, const char *subsystem,
                                           const char *name, const char *help, int label_count,
                                           const char **label_keys);
typedef int (*lookback_metric_set_fn)(void *metric, uint64_t timestamp, double value,
                                      int label_count, const char **label_values);
typedef char *(*lookback_metrics_text_fn)(void *context);
typedef void (*lookback_metrics_text_free_fn)(char *text);

#endif
