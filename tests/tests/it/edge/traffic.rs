//! What goes through two gateways by way of a balancer, and how much of it was lost.
//!
//! Invariant: nothing is sent twice that was not meant to be. Whatever is not answered well at once is lost.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use petty_tests::rest::{Account, Answer, Client};
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::streaming::Scene;

/// So many spells at most: more would be measured in the future.
const MOST_SPELLS: i64 = 290;

/// The gateways, and what became of what was sent to them.
pub(super) struct Traffic<'a> {
    pub(super) gateways: &'a [Client; 2],
    balancer: Balancer,
    over: AtomicBool,
    answered: AtomicUsize,
    lost: Mutex<Vec<String>>,
}

/// What a balancer knows: which gateways said last that they are ready.
struct Balancer {
    ready: [AtomicBool; 2],
    turn: AtomicUsize,
}

impl<'a> Traffic<'a> {
    pub(super) fn through(gateways: &'a [Client; 2]) -> Self {
        Self {
            gateways,
            balancer: Balancer { ready: [true.into(), true.into()], turn: AtomicUsize::new(0) },
            over: AtomicBool::new(false),
            answered: AtomicUsize::new(0),
            lost: Mutex::default(),
        }
    }

    /// Lets whoever sends come to an end.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Whether the balancer sends somebody there.
    pub(super) fn knows(&self, replica: usize) -> bool {
        self.balancer.ready[replica].load(Ordering::SeqCst)
    }

    pub(super) fn lose(&self, what: String) {
        self.lost.lock().unwrap().push(what);
    }

    /// What was lost, and of how much.
    pub(super) fn lost(&self) -> (Vec<String>, usize) {
        (self.lost.lock().unwrap().clone(), self.answered.load(Ordering::SeqCst))
    }

    /// A gateway that is ready.
    pub(super) async fn pick(&self) -> usize {
        loop {
            let turn = self.balancer.turn.fetch_add(1, Ordering::Relaxed);
            if let Some(replica) = [turn % 2, (turn + 1) % 2].into_iter().find(|replica| self.knows(*replica))
            {
                return replica;
            }
            self.lose("nobody is ready".to_owned());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Looks at the gateways as a balancer does. One that goes says so before it refuses anybody.
    pub(super) async fn look(&self) {
        while !self.is_over() {
            for (replica, gateway) in self.gateways.iter().enumerate() {
                let answer = gateway.try_send(gateway.request(Method::GET, "/ready", None)).await;
                let is_ready = answer.as_ref().is_ok_and(|answer| answer.status.is_success());
                let was_ready = self.balancer.ready[replica].swap(is_ready, Ordering::SeqCst);
                if let Err(error) = answer
                    && was_ready
                {
                    self.lose(format!("{replica} went without a word: {error:?}"));
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// A request, once. What is not a success is lost.
    async fn ask(&self, request: impl Fn(&Client) -> RequestBuilder) -> Option<Answer> {
        let replica = self.pick().await;
        let client = &self.gateways[replica];
        match client.try_send(request(client)).await {
            Ok(answer) if answer.status.is_success() => {
                self.answered.fetch_add(1, Ordering::SeqCst);
                return Some(answer);
            }
            Ok(answer) => self.lose(format!("{replica}: {}", answer.text)),
            Err(error) => self.lose(format!("{replica}: {error:?}")),
        }
        None
    }

    /// Reads, one after the other.
    pub(super) async fn read(&self, owner: &Account) {
        while !self.is_over() {
            self.ask(|client| client.request(Method::GET, "/v1/pets", Some(&owner.token))).await;
        }
    }

    /// Writes, each with a key of its own: pets of that name and weights by turns, some of them twice, as who has not heard an
    /// answer does. How many there were.
    pub(super) async fn write(&self, owner: &Account, pet: &str, writer: usize) -> usize {
        let weights = format!("/v1/pets/{pet}/weights");
        let mut count = 0;
        while !self.is_over() {
            let key = format!("rolling-{writer}-{count}");
            let (path, body) = match count % 2 {
                0 => ("/v1/pets", json!({"name": key, "species": "DOG"})),
                _ => (weights.as_str(), json!({"weight_kg": 20})),
            };
            let send = || {
                self.ask(|client| {
                    let request = client.request(Method::POST, path, Some(&owner.token));
                    request.header("idempotency-key", &key).json(&body)
                })
            };
            let first = send().await;
            if count % 3 == 0
                && let (Some(first), Some(again)) = (first, send().await)
                && first.body != again.body
            {
                self.lose(format!("{key}: {} and then {}", first.text, again.text));
            }
            count += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        count
    }

    /// Readings of a pet, a spell at a time. How many there were.
    pub(super) async fn measure(&self, scene: &Scene) -> i64 {
        let mut spells = 0;
        while !self.is_over() {
            if spells < MOST_SPELLS {
                let readings = scene.restless(3 * spells, 3);
                let answer = self.ask(|client| {
                    let request = client.request(Method::POST, "/v1/ingest:batch", Some(&scene.device));
                    request.json(&json!({"readings": readings}))
                });
                if let Some(answer) = answer.await
                    && answer.body["accepted"] != 3
                {
                    self.lose(format!("of three readings: {}", answer.text));
                }
                spells += 1;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        3 * spells
    }
}
