/* A CUDA driver without devices behind it: it lists the ids of NVIDIA_VISIBLE_DEVICES, or of
   CUDA_VISIBLE_DEVICES where there is no such variable, as if they were there. */
#include <stdlib.h>
#include <string.h>

static const char *devices(void) {
    const char *lent = getenv("NVIDIA_VISIBLE_DEVICES");
    if (!lent) lent = getenv("CUDA_VISIBLE_DEVICES");
    return lent ? lent : "";
}

int cuInit(unsigned flags) {
    const char *status = getenv("FAKE_CUDA_STATUS");
    return flags ? 1 : status ? atoi(status) : 0;
}

int cuDeviceGetCount(int *count) {
    const char *at = devices();
    *count = *at ? 1 : 0;
    for (; *at; at++) *count += *at == ',';
    return 0;
}

static int digit(char c) { return c <= '9' ? c - '0' : (c | 32) - 'a' + 10; }

int cuDeviceGetUuid_v2(unsigned char *id, int number) {
    const char *at = devices();
    while (number--) at = strchr(at, ',') + 1;
    at = strchr(at, '-') + 1;
    for (int byte = 0; byte < 16; byte++) {
        if (*at == '-') at++;
        id[byte] = digit(at[0]) << 4 | digit(at[1]);
        at += 2;
    }
    return 0;
}
