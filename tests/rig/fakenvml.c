/* fakenvml.c - a stand-in for libnvidia-ml.so.1, written from the public NVML ABI (structure layouts as in pynvml).
 * cc -O1 -Wall -shared -fPIC -Wl,-soname,libnvidia-ml.so.1 -o libnvidia-ml.so.1 fakenvml.c -lpthread
 *
 * State: text file named by $FAKE_NVML_STATE, or "state" beside the library; looked at again at EVERY call, and parsed anew when
 * it is another file than before (write it atomically: tmp + rename).
 *   count=2                     devices
 *   temp=40                     default of every device
 *   1.temp=91                   device 1 only
 *   fail.<nvmlFunction>=15      every device / library call returns this NVML code
 *   0.fail.<nvmlFunction>=15    only device 0
 *   0.lost=1                    every call on device 0 (and its handle look-up) -> 15 GPU_IS_LOST
 *   hang.<nvmlFunction>=1       blocks until the line is gone (an interruptible sleep, killable)
 *   hang.<nvmlFunction>=2.5     blocks 2.5 s then answers
 *   hang.<nvmlFunction>=D:/p    blocks in write(2) to /p: on a frozen filesystem (fsfreeze -f) that is real,
 *                               unkillable D state - what a wedged nvidia.ko does
 *   crash.<nvmlFunction>=1      SIGSEGV
 *   0.mig=2                     device 0 is divided into two; the keys of its parts begin with 0:0. and 0:1.
 *   absent.<nvmlFunction>=1     as if the library had no such symbol (it answers FUNCTION_NOT_FOUND)
 *   0.procs=123:1048576,77:10   pid:bytes       0.xid=1:79  sequence:code, delivered once per new sequence
 *   0.field.<id>=123            nvmlDeviceGetFieldValues; an absent id answers NOT_SUPPORTED
 * Calls are appended to $FAKE_NVML_LOG when set. "*" names every function: hang.*=1
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
typedef unsigned int u32; typedef unsigned long long u64; typedef int R;
enum { OK=0, UNINIT=1, INVAL=2, NOSUP=3, NOTFOUND=6, SMALL=7, TIMEOUT=10, NOSYM=13, LOST=15, UNKNOWN=999 };
#define MAXDEV 16
#define PARTS 8
#define MAXALL (MAXDEV * (1 + PARTS)) /* the devices, then the parts of each */
typedef struct { u32 magic, idx; } Dev; typedef Dev *D;
static Dev devs[MAXALL]; static int inited; static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;

static void nap(double s) { struct timespec t = { (time_t)s, (long)((s - (time_t)s) * 1e9) }; nanosleep(&t, 0); }
/* the state, parsed once a file; last match wins; out must hold n bytes */
static struct { char *key, *value; } line[1024]; static int lines; static char *text; static struct stat seen;
static const char *where(void) {
  static char beside[4096]; const char *p = getenv("FAKE_NVML_STATE"); Dl_info me; char *slash;
  if (p) return p;
  if (!beside[0] && dladdr((void *)where, &me) && realpath(me.dli_fname, beside) && (slash = strrchr(beside, '/'))) strcpy(slash, "/state");
  return beside; }
static void load(void) {
  struct stat now; int fd; const char *p = where();
  if (stat(p, &now)) { lines = 0; memset(&seen, 0, sizeof seen); return; }
  if (now.st_ino == seen.st_ino && now.st_size == seen.st_size && now.st_mtim.tv_nsec == seen.st_mtim.tv_nsec && now.st_mtim.tv_sec == seen.st_mtim.tv_sec) return;
  if ((fd = open(p, O_RDONLY | O_CLOEXEC)) < 0) return;
  free(text); text = calloc(1, now.st_size + 1); lines = 0; seen = now;
  if (text && read(fd, text, now.st_size) >= 0) {
    char *rest, *l; for (l = strtok_r(text, "\n", &rest); l && lines < 1024; l = strtok_r(0, "\n", &rest)) {
      char *e = strchr(l, '='); if (!e || l[0] == '#') continue;
      *e = 0; line[lines].key = l; line[lines++].value = e + 1; } }
  close(fd); }
static int raw(const char *key, char *out, size_t n) {
  for (int i = lines - 1; i >= 0; i--) if (!strcmp(line[i].key, key)) { snprintf(out, n, "%s", line[i].value); return 1; }
  return 0;
}
static int get(int dev, const char *key, char *out, size_t n) {
  char k[160];
  if (dev >= MAXDEV) snprintf(k, sizeof k, "%d:%d.%s", (dev - MAXDEV) / PARTS, (dev - MAXDEV) % PARTS, key);
  else snprintf(k, sizeof k, "%d.%s", dev, key);
  if (dev >= 0 && raw(k, out, n)) return 1;
  return raw(key, out, n);
}
static u64 num(int dev, const char *key, u64 dflt) { char b[64]; return get(dev, key, b, sizeof b) ? strtoull(b, 0, 0) : dflt; }
static int ctl(int dev, const char *what, const char *fn, char *out, size_t n) {
  char k[128]; snprintf(k, sizeof k, "%s.%s", what, fn); if (get(dev, k, out, n)) return 1;
  snprintf(k, sizeof k, "%s.*", what); return get(dev, k, out, n);
}
/* the gate every call passes: log, crash, hang, injected error, lost */
static const char *OF_PARTS = " nvmlDeviceGetUUID nvmlDeviceGetName nvmlDeviceGetMemoryInfo nvmlDeviceGetMemoryInfo_v2 nvmlDeviceGetComputeRunningProcesses_v3 ";
static R gate(const char *fn, int dev) {
  load();
  char b[256]; const char *lg = getenv("FAKE_NVML_LOG");
  if (lg) { int fd = open(lg, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd >= 0) { dprintf(fd, "%d %s %d\n", getpid(), fn, dev); close(fd); } }
  if (ctl(dev, "crash", fn, b, sizeof b)) raise(SIGSEGV);
  if (ctl(dev, "hang", fn, b, sizeof b)) {
    if (b[0] == 'D' && b[1] == ':') { int fd = open(b + 2, O_WRONLY | O_APPEND | O_CLOEXEC);
      if (fd >= 0) { if (write(fd, "x", 1) < 0) {} close(fd); } }
    else if (!strcmp(b, "1")) while (ctl(dev, "hang", fn, b, sizeof b)) { nap(0.02); load(); }
    else nap(atof(b));
  }
  if (ctl(dev, "absent", fn, b, sizeof b)) return NOSYM;
  if (ctl(dev, "fail", fn, b, sizeof b)) return atoi(b);
  if (dev >= 0) { if (!inited) return UNINIT; if (num(dev, "lost", 0)) return LOST; }
  if (dev >= MAXDEV) { char w[160]; snprintf(w, sizeof w, " %s ", fn);
    if (num((dev - MAXDEV) / PARTS, "lost", 0)) return LOST;
    if (!strstr(OF_PARTS, w)) return NOSUP; }
  return OK;
}
static int ix(D d) { return d && d->magic == 0x4e564d4c ? (int)d->idx : -2; }
#define DEVCALL R r; int i = ix(d); if (i == -2) return INVAL; if ((r = gate(__func__, i))) return r
#define LIBCALL R r; if ((r = gate(__func__, -1))) return r; if (!inited) return UNINIT
#define U32(fn, key, dflt) R fn(D d, u32 *o) { DEVCALL; *o = num(i, key, dflt); return OK; }
#define U64(fn, key, dflt) R fn(D d, u64 *o) { DEVCALL; *o = num(i, key, dflt); return OK; }
static R str(int dev, const char *key, const char *dflt, char *o, u32 n) {
  char b[256]; if (!get(dev, key, b, sizeof b)) snprintf(b, sizeof b, "%s", dflt);
  if (strlen(b) + 1 > n) return SMALL;
  memset(o, 0, n); strcpy(o, b); return OK; }

R nvmlInit_v2(void) { R r = gate(__func__, -1); if (r) return r;
  pthread_mutex_lock(&mu); for (u32 i = 0; i < MAXALL; i++) devs[i] = (Dev){ 0x4e564d4c, i }; inited++; pthread_mutex_unlock(&mu); return OK; }
R nvmlInitWithFlags(u32 f) { (void)f; R r = gate(__func__, -1); return r ? r : nvmlInit_v2(); }
R nvmlShutdown(void) { LIBCALL; pthread_mutex_lock(&mu); inited--; pthread_mutex_unlock(&mu); return OK; }
const char *nvmlErrorString(R r) { switch (r) { case 0: return "Success"; case 1: return "Uninitialized"; case 2: return "Invalid Argument";
  case 3: return "Not Supported"; case 4: return "Insufficient Permissions"; case 6: return "Not Found"; case 7: return "Insufficient Size";
  case 9: return "Driver Not Loaded"; case 10: return "Timeout"; case 13: return "Function Not Found"; case 15: return "GPU is lost"; case 16: return "GPU requires reset";
  case 18: return "Driver/library version mismatch"; default: return "Unknown Error"; } }
R nvmlSystemGetDriverVersion(char *o, u32 n) { LIBCALL; return str(-1, "driver", "550.54.15", o, n); }
R nvmlSystemGetNVMLVersion(char *o, u32 n) { LIBCALL; return str(-1, "nvml", "12.550.54.15", o, n); }
R nvmlSystemGetCudaDriverVersion_v2(int *o) { LIBCALL; *o = (int)num(-1, "cuda", 12040); return OK; }
R nvmlDeviceGetCount_v2(u32 *o) { LIBCALL; *o = num(-1, "count", 1); return OK; }
R nvmlDeviceGetHandleByIndex_v2(u32 k, D *o) { R r; if (!inited) return UNINIT;
  if (k >= num(-1, "count", 1) || k >= MAXDEV) return INVAL;
  if ((r = gate(__func__, (int)k))) return r;
  *o = &devs[k]; return OK; }
R nvmlDeviceGetUUID(D d, char *o, u32 n) { DEVCALL; char b[64]; snprintf(b, sizeof b, "%s-fa4e0000-0000-0000-0000-%012d", i < MAXDEV ? "GPU" : "MIG", i); return str(i, "uuid", b, o, n); }
R nvmlDeviceGetHandleByUUID(const char *u, D *o) { LIBCALL; char b[96];
  for (u32 k = 0; k < num(-1, "count", 1) && k < MAXDEV; k++) if (!nvmlDeviceGetUUID(&devs[k], b, sizeof b) && !strcmp(b, u)) { *o = &devs[k]; return OK; }
  return NOTFOUND; }
R nvmlDeviceGetIndex(D d, u32 *o) { DEVCALL; *o = i; return OK; }
R nvmlDeviceGetName(D d, char *o, u32 n) { DEVCALL; return str(i, "name", "Fake H100 80GB HBM3", o, n); }
R nvmlDeviceGetSerial(D d, char *o, u32 n) { DEVCALL; return str(i, "serial", "0", o, n); }
R nvmlDeviceGetPciInfo_v3(D d, void *o) { DEVCALL; struct { char old[16]; u32 dom, bus, dev, id, sub; char bus_id[32]; } *p = o;
  memset(p, 0, sizeof *p); p->bus = i + 1; p->id = 0x233010de; snprintf(p->bus_id, 32, "00000000:%02X:00.0", i + 1); snprintf(p->old, 16, "0000:%02X:00.0", i + 1); return OK; }
R nvmlDeviceGetMigMode(D d, u32 *now, u32 *next) { DEVCALL; char b[16]; if (!get(i, "mig", b, sizeof b)) return NOSUP; *now = *next = atoi(b) > 0; return OK; }
R nvmlDeviceGetMaxMigDeviceCount(D d, u32 *o) { DEVCALL; *o = PARTS - 1; return OK; }
R nvmlDeviceGetMigDeviceHandleByIndex(D d, u32 k, D *o) { DEVCALL; if (k >= num(i, "mig", 0)) return NOTFOUND; *o = &devs[MAXDEV + i * PARTS + k]; return OK; }
R nvmlDeviceGetUtilizationRates(D d, u32 o[2]) { DEVCALL; o[0] = num(i, "util", 0); o[1] = num(i, "util_mem", 0); return OK; }
R nvmlDeviceGetMemoryInfo(D d, u64 o[3]) { DEVCALL; u64 t = num(i, "mem_total", 85899345920ull), u = num(i, "mem_used", 0); o[0] = t; o[1] = t - u; o[2] = u; return OK; }
R nvmlDeviceGetMemoryInfo_v2(D d, void *v) { DEVCALL; struct { u32 ver; u64 total, reserved, free, used; } *o = v;
  if (o->ver != 0x02000028) return 25;
  u64 t = num(i, "mem_total", 85899345920ull), u = num(i, "mem_used", 0), s = num(i, "mem_reserved", 0);
  o->total = t; o->reserved = s; o->used = u; o->free = t - u - s; return OK; }
R nvmlDeviceGetTemperature(D d, int s, u32 *o) { DEVCALL; (void)s; *o = num(i, "temp", 40); return OK; }
R nvmlDeviceGetTemperatureV(D d, void *v) { DEVCALL; struct { u32 ver; int sensor, t; } *o = v; if (o->ver != 0x100000C) return 25; o->t = num(i, "temp", 40); return OK; }
R nvmlDeviceGetTemperatureThreshold(D d, int t, u32 *o) { DEVCALL; char k[32]; snprintf(k, 32, "temp_threshold.%d", t); *o = num(i, k, t == 0 ? 95 : 90); return OK; }
U32(nvmlDeviceGetPowerUsage, "power_mw", 70000) U32(nvmlDeviceGetEnforcedPowerLimit, "power_limit_mw", 700000)
U32(nvmlDeviceGetPowerManagementLimit, "power_limit_mw", 700000) U64(nvmlDeviceGetTotalEnergyConsumption, "energy_mj", 0)
U32(nvmlDeviceGetFanSpeed, "fan", 30) U32(nvmlDeviceGetPerformanceState, "pstate", 0) U32(nvmlDeviceGetPersistenceMode, "persistence", 1)
U64(nvmlDeviceGetCurrentClocksEventReasons, "reasons", 1) U64(nvmlDeviceGetCurrentClocksThrottleReasons, "reasons", 1)
U64(nvmlDeviceGetSupportedEventTypes, "event_types", 0xff)
R nvmlDeviceGetClockInfo(D d, int t, u32 *o) { DEVCALL; char k[32]; snprintf(k, 32, "clock.%d", t); *o = num(i, k, 1980); return OK; }
R nvmlDeviceGetMaxClockInfo(D d, int t, u32 *o) { DEVCALL; char k[32]; snprintf(k, 32, "clock_max.%d", t); *o = num(i, k, 1980); return OK; }
U32(nvmlDeviceGetPcieReplayCounter, "replays", 0)
R nvmlDeviceGetEccMode(D d, u32 *c, u32 *p) { DEVCALL; *c = *p = num(i, "ecc_mode", 1); return OK; }
R nvmlDeviceGetTotalEccErrors(D d, int type, int counter, u64 *o) { DEVCALL; char k[32]; snprintf(k, 32, "ecc.%d.%d", type, counter); *o = num(i, k, 0); return OK; }
R nvmlDeviceGetRemappedRows(D d, u32 *c, u32 *u, u32 *p, u32 *f) { DEVCALL; *c = num(i, "remap_corr", 0); *u = num(i, "remap_unc", 0); *p = num(i, "remap_pending", 0); *f = num(i, "remap_failed", 0); return OK; }
static R procs(int i, const char *key, u32 *n, void *v) { struct { u32 pid; u64 mem; u32 gi, ci; } *o = v; char b[2048], *s = b, *t; u32 k = 0;
  if (!get(i, key, b, sizeof b)) b[0] = 0;
  char c[2048]; strcpy(c, b);
  for (t = strtok_r(c, ",", &s); t; t = strtok_r(0, ",", &s)) k++;
  if (*n < k || (k && !o)) { *n = k; return SMALL; }
  k = 0; for (t = strtok_r(b, ",", &s); t; t = strtok_r(0, ",", &s), k++) { char *e; o[k].pid = strtoul(t, &e, 10); o[k].mem = *e == ':' ? strtoull(e + 1, 0, 10) : ~0ull; o[k].gi = o[k].ci = ~0u; }
  *n = k; return OK; }
R nvmlDeviceGetComputeRunningProcesses_v3(D d, u32 *n, void *o) { DEVCALL; return procs(i, "procs", n, o); }
R nvmlDeviceGetGraphicsRunningProcesses_v3(D d, u32 *n, void *o) { DEVCALL; return procs(i, "gprocs", n, o); }
R nvmlDeviceGetFieldValues(D d, int n, void *v) { DEVCALL; struct { u32 id, scope; long long ts, lat; u32 type; R r; u64 val; } *o = v;
  struct timespec t; clock_gettime(CLOCK_REALTIME, &t);
  for (int k = 0; k < n; k++) { char key[32], b[32]; snprintf(key, 32, "field.%u", o[k].id); o[k].ts = t.tv_sec * 1000000ll + t.tv_nsec / 1000; o[k].lat = 0;
    if (get(i, key, b, 32)) { o[k].type = 3; o[k].val = strtoull(b, 0, 0); o[k].r = OK; } else o[k].r = NOSUP; }
  return OK; }
/* events: one set remembers the devices registered and the last xid sequence seen */
typedef struct { u32 reg[MAXDEV]; u64 seen[MAXDEV]; } Set;
R nvmlEventSetCreate(Set **o) { LIBCALL; *o = calloc(1, sizeof(Set)); return OK; }
R nvmlEventSetFree(Set *s) { LIBCALL; free(s); return OK; }
R nvmlDeviceRegisterEvents(D d, u64 t, Set *s) { DEVCALL; char b[64]; s->reg[i] |= t; if (get(i, "xid", b, 64)) s->seen[i] = strtoull(b, 0, 10); return OK; }
R nvmlEventSetWait_v2(Set *s, void *v, u32 ms) { LIBCALL; struct { D d; u64 type, data; u32 gi, ci; } *o = v; char b[64], *e;
  for (double left = ms / 1000.0;; left -= 0.02) {
    for (int k = 0; k < MAXDEV; k++) if (s->reg[k] & 8) if (get(k, "xid", b, 64)) { u64 q = strtoull(b, &e, 10);
      if (q != s->seen[k] && *e == ':') { s->seen[k] = q; o->d = &devs[k]; o->type = 8; o->data = strtoull(e + 1, 0, 10); o->gi = o->ci = ~0u; return OK; } }
    if (left <= 0) return TIMEOUT;
    nap(left < 0.02 ? left : 0.02); } }
