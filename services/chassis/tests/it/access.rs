//! Decisions: remembered while the broadcast is heard, forgotten when it says so, never believed when it is silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::join_all;
use petty_chassis::access::{Access, AccessReason, AccessSource, Asker, Broadcast, Decision, Role, Target};
use petty_chassis::caller::{Caller, Claims};
use petty_chassis::events::{Outgoing, outbox, topics};
use petty_chassis::postgres::Error;
use petty_chassis::types::{AccountId, Clock, EventId, PetId, SessionId};
use petty_chassis::{ApiError, Code};
use petty_proto::events::v1::AccessChanged;
use petty_proto::policy::Need;
use petty_provision::Stack;
use secrecy::{ExposeSecret as _, SecretString};

use crate::world::{GAP_GRACE, HANDLING_DEADLINE, Node, Setup, eventually};

/// auth, as far as decisions go.
#[derive(Default)]
struct Book {
    asked: AtomicU32,
    withdrawn: AtomicBool,
    away: AtomicBool,
    /// Checks wait until they may be answered.
    held: AtomicBool,
}

struct Source(Arc<Book>);

#[tonic::async_trait]
impl AccessSource for Source {
    async fn check(&self, _asker: &Asker<'_>, _target: &Target) -> Result<Decision, ApiError> {
        if self.0.away.load(Ordering::Acquire) {
            return Err(ApiError::unavailable("ACCESS_UNKNOWN", "away"));
        }
        self.0.asked.fetch_add(1, Ordering::AcqRel);
        while self.0.held.load(Ordering::Acquire) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let role = (!self.0.withdrawn.load(Ordering::Acquire)).then_some(Role::Viewer);
        Ok(Decision { role, pairings: Vec::new(), expires: None })
    }
}

fn caller(clock: &Clock, sid: SessionId, roles: &[&str]) -> Caller {
    let claims = Claims {
        iss: String::new(),
        aud: String::new(),
        sub: AccountId::new(clock).to_string(),
        exp: i64::MAX,
        nbf: 0,
        iat: 0,
        jti: String::new(),
        scope: "pets:read staff".to_owned(),
        roles: roles.iter().map(|&role| role.to_owned()).collect(),
        sid,
        integration: false,
        device: None,
    };
    Caller::try_from(claims).unwrap()
}

struct Scene {
    stack: Stack,
    auth: Node,
    book: Arc<Book>,
    access: Access,
    broadcast: Broadcast,
    caller: Caller,
    pet: PetId,
}

impl Scene {
    async fn new() -> Self {
        Self::remembering_for(Duration::from_secs(60)).await
    }

    async fn remembering_for(time_to_live: Duration) -> Self {
        let stack = Stack::temporary().await.unwrap();
        let redis_url = stack.redis().url().expose_secret().to_owned();
        // auth's relay is what beats.
        let auth = Setup {
            stack: &stack,
            service: "auth",
            database: "auth_access",
            redis_url,
            endpoints: Vec::new(),
            handling_deadline: HANDLING_DEADLINE,
            gap_grace: GAP_GRACE,
        }
        .start()
        .await;
        let context = &auth.base.context;
        let broadcast = Broadcast::listen(auth.base.redis.clone(), &context.tasks, context.shutdown.clone());
        let book = Arc::new(Book::default());
        let (source, clock) = (Box::new(Source(book.clone())), context.clock.clone());
        let access = Access::remembering_for(time_to_live, source, clock, broadcast.clone());
        let clock = Clock::system();
        let caller = caller(&clock, SessionId::new(&clock), &[]);
        let scene = Self { stack, auth, book, access, broadcast, caller, pet: PetId::new(&clock) };
        eventually("the broadcast is heard", || async { scene.broadcast.is_heard() }).await;
        scene
    }

    async fn may(&self, need: Need) -> Result<Role, ApiError> {
        self.may_as(&self.caller, None, need).await
    }

    async fn may_as(
        &self,
        caller: &Caller,
        reason: Option<&AccessReason>,
        need: Need,
    ) -> Result<Role, ApiError> {
        let token = SecretString::from("token");
        let deadline = tokio::time::Instant::now() + Duration::from_secs(1);
        let asker =
            Asker { caller, token: &token, request_id: "request", deadline, client_address: None, reason };
        self.access.pet(&asker, self.pet, need).await.map(|access| access.role)
    }

    fn asked(&self) -> u32 {
        self.book.asked.load(Ordering::Acquire)
    }

    async fn announce(&self, change: AccessChanged) -> EventId {
        let (clock, change) = (&self.auth.base.context.clock, &change);
        let announced: Result<EventId, Error> = self
            .auth
            .base
            .db
            .transaction("announce", |tx| async move {
                let event = Outgoing {
                    topic: &topics::ACCESS_CHANGED,
                    subject: self.pet.0,
                    version: 0,
                    shard: 0,
                    payload: change,
                };
                outbox::write(&tx, clock, &event).await
            })
            .await;
        announced.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_asked_once_and_again_after_a_change_that_concerns_it() {
    let scene = Scene::new().await;
    for _ in 0..5 {
        assert_eq!(scene.may(Need::Read).await.unwrap(), Role::Viewer);
    }
    assert_eq!(scene.asked(), 1);
    assert_eq!(scene.may(Need::Write).await.unwrap_err().code, Code::PermissionDenied);
    let other = AccessChanged { pet_id: PetId::new(&Clock::system()).to_string(), ..Default::default() };
    let event = scene.announce(other).await;
    petty_chassis::events::relay::sent(&scene.auth.base.db, event).await.unwrap();
    scene.book.withdrawn.store(true, Ordering::Release);
    assert_eq!(
        scene.may(Need::Read).await.unwrap(),
        Role::Viewer,
        "somebody else's change concerns nobody here"
    );
    scene.announce(AccessChanged { pet_id: scene.pet.to_string(), ..Default::default() }).await;
    eventually("the withdrawn decision is forgotten", || async { scene.may(Need::Read).await.is_err() })
        .await;
    assert_eq!(scene.may(Need::Read).await.unwrap_err().reason, "PET_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_still_asked_for_is_renewed_before_it_is_forgotten_and_nobody_waits_for_it() {
    let scene = Scene::remembering_for(Duration::from_secs(6)).await;
    assert_eq!(scene.may(Need::Read).await.unwrap(), Role::Viewer);
    scene.book.held.store(true, Ordering::Release);
    // Two to four and a half seconds after it was asked.
    eventually("auth is asked again", || async {
        assert_eq!(scene.may(Need::Read).await.unwrap(), Role::Viewer, "as it is remembered");
        scene.asked() == 2
    })
    .await;
    for _ in 0..5 {
        assert_eq!(scene.may(Need::Read).await.unwrap(), Role::Viewer, "while auth thinks about it");
    }
    assert_eq!(scene.asked(), 2, "once");
    scene.book.withdrawn.store(true, Ordering::Release);
    scene.book.held.store(false, Ordering::Release);
    eventually("what it says counts", || async { scene.may(Need::Read).await.is_err() }).await;
    assert_eq!(scene.asked(), 2, "of the same answer");
}

/// Past the latest moment at which what was asked then is renewed, of three seconds; and before it is forgotten.
const DUE: Duration = Duration::from_millis(2_300);
/// After that a machine that was busy shows nothing.
const IN_TIME: Duration = Duration::from_millis(2_900);

#[tokio::test(flavor = "multi_thread")]
async fn what_staff_may_is_not_asked_beforehand() {
    let scene = Scene::remembering_for(Duration::from_secs(3)).await;
    let clock = Clock::system();
    let staff = caller(&clock, SessionId::new(&clock), &["support"]);
    let since = tokio::time::Instant::now();
    assert_eq!(scene.may_as(&staff, None, Need::Read).await.unwrap(), Role::Viewer);
    tokio::time::sleep_until(since + DUE).await;
    for _ in 0..3 {
        assert_eq!(scene.may_as(&staff, None, Need::Read).await.unwrap(), Role::Viewer);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(scene.asked() == 1 || since.elapsed() > IN_TIME, "nobody looked");
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_that_is_away_takes_nothing_back_before_its_time() {
    let scene = Scene::remembering_for(Duration::from_secs(3)).await;
    let since = tokio::time::Instant::now();
    assert_eq!(scene.may(Need::Read).await.unwrap(), Role::Viewer);
    scene.book.away.store(true, Ordering::Release);
    tokio::time::sleep_until(since + DUE).await;
    for _ in 0..5 {
        let may = scene.may(Need::Read).await.is_ok();
        assert!(may || since.elapsed() > IN_TIME, "as it is remembered");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    eventually("it is forgotten all the same", || async { scene.may(Need::Read).await.is_err() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flushed_stream_makes_everything_forgotten() {
    let scene = Scene::new().await;
    assert_eq!(scene.may(Need::Read).await.unwrap(), Role::Viewer);
    // A change that this replica never hears of: sent, and lost before it was read.
    scene.book.withdrawn.store(true, Ordering::Release);
    scene.stack.redis().pause();
    let event = scene.announce(AccessChanged { pet_id: scene.pet.to_string(), ..Default::default() }).await;
    scene.stack.redis().resume();
    scene.stack.redis().flushall().await.unwrap();
    petty_chassis::events::relay::sent(&scene.auth.base.db, event).await.unwrap();
    scene.stack.redis().flushall().await.unwrap();
    eventually("the number in the heartbeat gives it away", || async {
        scene.may(Need::Read).await.is_err()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_silence_every_decision_is_asked_and_nothing_is_allowed_that_cannot_be() {
    let scene = Scene::new().await;
    assert_eq!(scene.may(Need::Read).await.unwrap(), Role::Viewer);
    scene.stack.redis().pause();
    eventually("the silence is noticed", || async { !scene.broadcast.is_heard() }).await;
    let before = scene.asked();
    for _ in 0..3 {
        assert_eq!(scene.may(Need::Read).await.unwrap(), Role::Viewer);
    }
    assert_eq!(scene.asked(), before + 3, "nothing remembered counts");
    scene.book.away.store(true, Ordering::Release);
    let refused = scene.may(Need::Read).await.unwrap_err();
    assert_eq!((refused.code, refused.reason), (Code::Unavailable, "ACCESS_UNKNOWN"));
    scene.stack.redis().resume();
    scene.book.away.store(false, Ordering::Release);
    eventually("it is heard again", || async { scene.broadcast.is_heard() }).await;
    let before = scene.asked();
    for _ in 0..3 {
        assert_eq!(scene.may(Need::Read).await.unwrap(), Role::Viewer);
    }
    assert!(scene.asked() <= before + 1, "and remembered again");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_for_one_role_or_reason_is_decided_anew_for_another() {
    let scene = Scene::new().await;
    let session = scene.caller.session_id();
    let clock = Clock::system();
    // Of one session: what a token claims may change with a refresh.
    let (support, admin) = (caller(&clock, session, &["support"]), caller(&clock, session, &["admin"]));
    let one = AccessReason::parse("ticket 4711: no positions").unwrap();
    let other = AccessReason::parse("ticket 4712: no positions").unwrap();
    let askers = [
        (&scene.caller, None),
        (&support, None),
        (&support, Some(&one)),
        (&support, Some(&other)),
        (&admin, None),
        (&admin, Some(&one)),
    ];
    for round in 0..3 {
        for (index, (caller, reason)) in (1..).zip(askers) {
            assert_eq!(scene.may_as(caller, reason, Need::Read).await.unwrap(), Role::Viewer);
            assert_eq!(scene.asked(), if round == 0 { index } else { 6 }, "{index}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_to_know_the_same_asks_once_in_silence_too() {
    let scene = Scene::new().await;
    scene.stack.redis().pause();
    eventually("the silence is noticed", || async { !scene.broadcast.is_heard() }).await;
    scene.book.held.store(true, Ordering::Release);
    let before = scene.asked();
    let mut many = Box::pin(join_all((0..500).map(|_| scene.may(Need::Read))));
    assert!((&mut many).now_or_never().is_none());
    assert_eq!(scene.asked(), before + 1);
    // Those who asked first need not stay.
    drop(scene.may(Need::Read).now_or_never());
    scene.book.held.store(false, Ordering::Release);
    assert!(many.await.into_iter().all(|may| may.unwrap() == Role::Viewer));
    assert_eq!(scene.asked(), before + 1);
    // What was answered is of before: who comes now asks anew.
    scene.book.withdrawn.store(true, Ordering::Release);
    assert_eq!(scene.may(Need::Read).await.unwrap_err().reason, "PET_NOT_FOUND");

    // All are told alike of what cannot be had, and the next one asks again.
    scene.book.away.store(true, Ordering::Release);
    for refused in join_all((0..50).map(|_| scene.may(Need::Read))).await {
        assert_eq!(refused.unwrap_err().reason, "ACCESS_UNKNOWN");
    }
    scene.book.away.store(false, Ordering::Release);
    assert_eq!(scene.may(Need::Read).await.unwrap_err().reason, "PET_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_is_measured() {
    let scene = Scene::new().await;
    for _ in 0..5 {
        scene.may(Need::Read).await.unwrap();
    }
    let shown = petty_chassis::telemetry::prometheus_text();
    for part in [
        "petty_cache_lookups_total{cache=\"decisions\"",
        "result=\"hit\"",
        "result=\"miss\"",
        "petty_access_check_duration_seconds_bucket",
        "petty_cache_forgotten_total{cache=\"decisions\"",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}
