/* In place of ESP-IDF in the tests: what calls the application. */
void app_main(void);

int main(void) {
  app_main();
  return 0;
}
