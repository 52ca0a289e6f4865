/* In place of ESP-IDF in the tests. */
#define portMAX_DELAY 0xFFFFFFFFu
