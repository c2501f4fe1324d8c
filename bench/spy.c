/* spy.c - stands before systemctl and notes when it was called to restart: appends CLOCK_MONOTONIC in seconds to SPY_LOG, then becomes the
 * real one. cc -O1 -DREAL='"/usr/bin/systemctl"' -DSPY_LOG='"/opt/bench/restarts"' -o systemctl spy.c */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
int main(int argc, char **argv) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  for (int i = 1; i < argc; i++)
    if (!strcmp(argv[i], "restart")) {
      int log = open(SPY_LOG, O_WRONLY | O_APPEND | O_CREAT, 0666);
      if (log >= 0) {
        dprintf(log, "%ld.%09ld\n", (long)now.tv_sec, now.tv_nsec);
        close(log);
      }
    }
  execv(REAL, argv);
  return 127;
}
