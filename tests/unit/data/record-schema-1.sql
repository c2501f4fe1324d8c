-- A record of schema 1, as model-watchdog 0.1.0 made it before there was schema 2 (sqlite3 watchdog.db .dump).
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE alerts (owner TEXT PRIMARY KEY, json TEXT NOT NULL);
INSERT INTO "alerts" VALUES('','[{"name": "disk", "state": "firing"}]');
CREATE TABLE daemon (id INTEGER PRIMARY KEY CHECK (id = 1), at REAL NOT NULL, json TEXT NOT NULL);
INSERT INTO "daemon" VALUES(1,1764000000.0,'{"pid": 812, "version": "0.1.0", "problems": []}');
CREATE TABLE event (
        id INTEGER PRIMARY KEY, at REAL NOT NULL, service TEXT, event TEXT NOT NULL, cause TEXT, reason TEXT NOT NULL, incident INTEGER);
INSERT INTO "event" VALUES(1,1763999940.0,'bert','restart_started','crashed','restart 1 of 3: started, because it ended by itself',2);
INSERT INTO "event" VALUES(2,1763999950.0,NULL,'daemon_started',NULL,'model-watchdog 0.1.0 watches 2 services',NULL);
CREATE TABLE host (id INTEGER PRIMARY KEY CHECK (id = 1), at REAL NOT NULL, json TEXT NOT NULL);
INSERT INTO "host" VALUES(1,1764000000.0,'[{"metric": "host_load1", "labels": {}, "value": 1.5, "at": "2025-11-24T16:00:00Z"}]');
CREATE TABLE incident (id INTEGER PRIMARY KEY, service TEXT NOT NULL, opened_at REAL NOT NULL, reason TEXT NOT NULL, closed_at REAL);
INSERT INTO "incident" VALUES(2,'bert',1763999939.0,'ended by itself with exit 1',NULL);
CREATE TABLE outbox (
        id INTEGER PRIMARY KEY, key TEXT NOT NULL, notifier TEXT NOT NULL, severity TEXT NOT NULL, title TEXT NOT NULL, body TEXT NOT NULL,
        queued_at REAL NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, next_at REAL NOT NULL,
        error TEXT NOT NULL DEFAULT '', UNIQUE (key, notifier));
INSERT INTO "outbox" VALUES(1,'chatglm/1/recovered','ops','warning','[warning] box: chatglm was restarted and is well again','What  …',1763999200.0,'sent',1,1763999201.0,'');
INSERT INTO "outbox" VALUES(2,'bert/7/gave_up','ops','critical','[critical] box: bert is down','What  exit 1',1763999990.0,'queued',2,1764000003.0,'error=503');
CREATE TABLE restart (
        id INTEGER PRIMARY KEY, service TEXT NOT NULL, at REAL NOT NULL, actor TEXT NOT NULL, cause TEXT, reason TEXT NOT NULL,
        json TEXT NOT NULL, phase TEXT NOT NULL, result TEXT, detail TEXT NOT NULL DEFAULT '', ended_at REAL);
INSERT INTO "restart" VALUES(1,'chatglm',1763999100.0,'watchdog','crashed','it crashed','{}','preflight','recovered','well again',1763999200.0);
INSERT INTO "restart" VALUES(3,'bert',1763999940.0,'watchdog','ended_by_itself','exit 1','{"old": 7}','verifying',NULL,'',NULL);
CREATE TABLE service_state (name TEXT PRIMARY KEY, json TEXT NOT NULL);
INSERT INTO "service_state" VALUES('chatglm','[["boot", 10.0, 1764000000.0], {"breaker": {"failures": 2}}]');
CREATE TABLE service_status (name TEXT PRIMARY KEY, at REAL NOT NULL, json TEXT NOT NULL);
INSERT INTO "service_status" VALUES('chatglm',1764000000.0,'{"name": "chatglm", "state": "healthy"}');
INSERT INTO "service_status" VALUES('bert',1764000000.0,'{"name": "bert", "state": "dead"}');
CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL);
INSERT INTO "setting" VALUES('running','yes');
CREATE INDEX restart_open ON restart (id) WHERE result IS NULL;
CREATE INDEX outbox_waiting ON outbox (id) WHERE state = 'queued';
COMMIT;
