//! What an operator types, in front of services that answer what they are told to: who is asked, and how what became of it is told.

use std::io::{ErrorKind, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use petty::mesh::{SERVICES, free_address};
use petty_chassis::grpc::identity::generate_key;
use petty_proto::events::v1 as wire;
use petty_proto::events::v1::event_operations_service_server::{
    EventOperationsService, EventOperationsServiceServer,
};
use petty_proto::events::v1::redrive_dead_letter_response::Outcome;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tonic::{Request, Response, Status};

use crate::control::check;
use crate::running::{PATIENCE, petty};

/// What became of a dead letter is what its event is called.
struct Scripted {
    letters: &'static [&'static str],
}

#[tonic::async_trait]
impl EventOperationsService for Scripted {
    async fn list_dead_letters(
        &self,
        _: Request<wire::ListDeadLettersRequest>,
    ) -> Result<Response<wire::ListDeadLettersResponse>, Status> {
        let letter = |(number, event): (i64, &&str)| wire::DeadLetter {
            event_id: (*event).to_owned(),
            pet_id: "p".to_owned(),
            number,
            ..wire::DeadLetter::default()
        };
        let letters = (1..).zip(self.letters).map(letter).collect();
        Ok(Response::new(wire::ListDeadLettersResponse { letters, ..Default::default() }))
    }

    async fn get_dead_letter(
        &self,
        _: Request<wire::GetDeadLetterRequest>,
    ) -> Result<Response<wire::GetDeadLetterResponse>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }

    async fn redrive_dead_letter(
        &self,
        request: Request<wire::RedriveDeadLetterRequest>,
    ) -> Result<Response<wire::RedriveDeadLetterResponse>, Status> {
        let outcome = match request.get_ref().event_id.as_str() {
            "applied" => Outcome::Applied,
            "forgotten" => Outcome::Forgotten,
            "failed" => Outcome::Failed,
            "refused" => return Err(Status::failed_precondition("not this one")),
            _ => Outcome::NotThere,
        };
        let error = if outcome == Outcome::Failed { "as before".to_owned() } else { String::new() };
        Ok(Response::new(wire::RedriveDeadLetterResponse { outcome: outcome.into(), error }))
    }

    async fn drop_dead_letter(
        &self,
        request: Request<wire::DropDeadLetterRequest>,
    ) -> Result<Response<wire::DropDeadLetterResponse>, Status> {
        match request.get_ref().event_id.as_str() {
            "refused" => Err(Status::failed_precondition("not this one")),
            event => Ok(Response::new(wire::DropDeadLetterResponse { dropped: event != "absent" })),
        }
    }

    async fn replay_events(
        &self,
        _: Request<wire::ReplayEventsRequest>,
    ) -> Result<Response<wire::ReplayEventsResponse>, Status> {
        Ok(Response::new(wire::ReplayEventsResponse { count: 3, ..Default::default() }))
    }
}

/// Services, and the runtime that they run on.
struct Mesh {
    _runtime: tokio::runtime::Runtime,
    /// Of behavior, and of all others.
    addresses: [String; 2],
    key: String,
}

impl Mesh {
    /// In which behavior has dead letters.
    fn start(letters: &'static [&'static str]) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let addresses = [letters, &[]].map(|letters| {
            let address = free_address().unwrap();
            let service = EventOperationsServiceServer::new(Scripted { letters });
            runtime.spawn(tonic::transport::Server::builder().add_service(service).serve(address));
            let begin = Instant::now();
            while TcpStream::connect(address).is_err() {
                assert!(begin.elapsed() < PATIENCE, "nothing listens on {address}");
                std::thread::sleep(Duration::from_millis(5));
            }
            format!("http://{address}")
        });
        let (key, _) = generate_key().unwrap();
        Self { _runtime: runtime, addresses, key: key.expose_secret().to_owned() }
    }

    /// Runs a command that is told where these services are.
    fn petty(&self, told: &[&str], arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_petty"));
        command.args(arguments).env("PETTY_OPERATOR_TOKEN", "token").env("PETTY_SERVICE_KEY", &self.key);
        for service in told {
            let address = &self.addresses[usize::from(*service != "behavior")];
            command.env(format!("PETTY_ENDPOINT_{}", service.to_uppercase()), address);
        }
        command.output().unwrap()
    }
}

#[test]
fn what_became_of_each_dead_letter_is_counted_as_that_and_one_refusal_does_not_end_it() {
    let mesh = Mesh::start(&["applied", "refused", "forgotten", "failed", "absent", "applied"]);
    let dlq = |words: &[&str]| mesh.petty(&SERVICES, &[&["dlq"], words].concat());
    let said = check(
        &dlq(&["redrive", "--all"]),
        1,
        &[
            "behavior/refused/p was not redriven: behavior refused: not this one",
            "behavior/failed/p failed again: as before",
            "2 redriven, 1 failed again, 1 about somebody who is forgotten, 1 not there (any more), 1 refused.",
        ],
    );
    assert_eq!(said.lines().count(), 7, "{said}");
    let dropped = "4 dropped, 1 not there (any more), 1 refused.";
    check(&dlq(&["drop", "--all"]), 1, &["behavior/refused/p was not dropped", dropped]);

    let named = |what: &str, event: &str| dlq(&[what, &format!("behavior/{event}/p")]);
    check(&named("redrive", "applied"), 0, &["1 redriven, 0 failed again.\n"]);
    check(&named("redrive", "forgotten"), 0, &["0 redriven, 0 failed again, 1 about"]);
    check(&named("redrive", "absent"), 1, &["0 redriven, 0 failed again, 1 not there (any more).\n"]);
    check(&named("drop", "absent"), 1, &["0 dropped, 1 not there (any more).\n"]);
    check(&named("drop", "applied"), 0, &["1 dropped.\n"]);

    // Of all that were found, somebody else has seen to one.
    let mesh = Mesh::start(&["applied", "absent"]);
    let all = |what: &str| mesh.petty(&SERVICES, &["dlq", what, "--all"]);
    check(&all("redrive"), 0, &["1 redriven, 0 failed again, 1 not there (any more)."]);
    check(&all("drop"), 0, &["1 dropped, 1 not there (any more)."]);
}

#[test]
fn a_list_that_is_cut_short_says_so() {
    let mesh = Mesh::start(&["a", "b", "c"]);
    let list = |limit: &str| mesh.petty(&SERVICES, &["dlq", "list", "--json", "--limit", limit]);
    for (limit, listed, more) in [("2", 2, true), ("3", 3, false)] {
        let output = list(limit);
        let lines: Vec<Value> =
            output.stdout.split(|byte| *byte == b'\n').flat_map(serde_json::from_slice).collect();
        assert_eq!(lines.len(), listed, "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said.contains("there are more: --limit"), more, "{said}");
    }
}

#[test]
fn a_service_that_nobody_said_the_place_of_is_named_and_not_left_out() {
    let mesh = Mesh::start(&["applied"]);
    let some = ["auth", "behavior"];
    let unknown = ["nothing was done", "PETTY_ENDPOINT_INGEST and PETTY_ENDPOINT_NUTRITION", "--service"];
    check(&mesh.petty(&some, &["dlq", "list"]), 1, &unknown);
    check(&mesh.petty(&some, &["dlq", "redrive", "--all"]), 1, &unknown);
    check(&mesh.petty(&some, &["outbox", "replay", "--since", "1h"]), 1, &unknown);
    let timeline = ["set PETTY_ENDPOINT_TIMELINE"];
    check(&mesh.petty(&some, &["dlq", "drop", "behavior/a/p", "timeline/a/p"]), 1, &timeline);
    check(&mesh.petty(&some, &["dlq", "show", "timeline/a/p"]), 1, &timeline);
    check(&mesh.petty(&some, &["dlq", "list", "--service", "behavior"]), 0, &["behavior/applied/p"]);

    let replay =
        |words: &[&str]| mesh.petty(&SERVICES, &[&["outbox", "replay", "--since", "1h"], words].concat());
    check(&replay(&["--topic", "plan.changed"]), 0, &["nutrition  3 events go out again"]);
    check(&replay(&["--topic", "plan.chnged"]), 2, &["must be one of", "plan.changed"]);
    check(&replay(&["--topic", "access.changed"]), 2, &["is a broadcast"]);
    let none = ["timeline does not produce plan.changed"];
    check(&replay(&["--topic", "plan.changed", "--service", "timeline"]), 1, &none);
}

#[test]
fn nothing_is_sent_to_where_a_mesh_was_and_no_keys_are_made() {
    let dir = tempfile::tempdir().unwrap();
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    stranger.set_nonblocking(true).unwrap();
    let url = format!("http://{}", stranger.local_addr().unwrap());
    let at = json!({"admin": url, "grpc": url});
    let services: serde_json::Map<String, Value> =
        SERVICES.iter().map(|service| ((*service).to_owned(), at.clone())).collect();
    let ready = |pid: u32| {
        let staff = json!({"email": "staff@petty.example", "password": "secret"});
        let ready = json!({"gateway": url, "pid": pid, "services": services, "staff": staff});
        std::fs::write(dir.path().join("ready.json"), ready.to_string()).unwrap();
    };
    let list = || petty(&["keys", "list", "--data-dir", dir.path().to_str().unwrap()]);

    ready(std::process::id());
    check(&list(), 1, &["ready.json is not of a mesh that runs on", "--data-dir"]);
    let mut lock = std::fs::File::create(dir.path().join("lock")).unwrap();
    lock.lock().unwrap();
    let holder = json!({"pid": std::process::id(), "command": "petty up", "started": "now"});
    lock.write_all(holder.to_string().as_bytes()).unwrap();
    ready(std::process::id() + 1);
    check(&list(), 1, &["ready.json is not of a mesh that runs on"]);
    ready(std::process::id());
    check(&list(), 1, &["there is no", "keys.json"]);
    assert!(!dir.path().join("keys.json").exists());
    assert_eq!(stranger.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "somebody came");
}
