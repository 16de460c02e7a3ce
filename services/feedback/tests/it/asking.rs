//! Events that were not told here: behavior is asked, and whose they are is nobody else's business.

use petty_feedback::episodes::{EpisodeSource as _, RemoteEpisodes};
use petty_proto::behavior::v1 as behavior;
use petty_proto::behavior::v1::behavior_service_server::{BehaviorService, BehaviorServiceServer};
use petty_proto::behavior::v1::episode::Behavior;
use petty_proto::feedback::v1::feedback::Verdict;
use petty_testbench::reason;
use tokio::net::TcpListener;
use tonic::{Code, Request, Response, Status};

use crate::bench::{Bench, Told, creation, event_id, listing, plan, submission};

const TOLD: &str = "-- told\nSELECT concat_ws(' ', event_id, version, superseded, replaced_by) FROM episodes ORDER BY event_id";
const KEPT: &str = "-- kept\nSELECT concat_ws(' ', event_id, behavior, rule, version, replaced_by, secondhand) FROM feedback ORDER BY feedback_id";

fn uuid(nth: u128) -> String {
    uuid::Uuid::from_u128(nth).to_string()
}

/// All that a client sees of a refusal.
fn seen(status: &Status) -> (Code, String, Vec<u8>, String) {
    let metadata = format!("{:?}", status.metadata());
    (status.code(), status.message().to_owned(), status.details().to_vec(), metadata)
}

#[tokio::test]
async fn an_event_that_is_new_is_asked_for_and_not_refused() {
    let bench = Bench::new("new_event").await;
    let pet = bench.pet_id();
    let account = bench.owner_of(pet);
    let told = Told { version: 2, ..Told::new(pet, 1) };
    bench.episodes.answer(&told.id(), told.episode());
    assert!(bench.list(account, listing(&told)).await.unwrap().feedback.is_empty());
    assert!(bench.rows(TOLD).await.is_empty(), "reading writes nothing");
    let said = bench.say(account, &told, Verdict::Wrong).await;
    assert_eq!((said.behavior.as_str(), said.rule.as_str()), ("Resting", "resting"));
    assert_eq!(bench.episodes.asked(), 2);
    // From then on it is known, as if it had been told.
    bench.submit(account, submission(&told, "positive")).await.unwrap();
    assert_eq!(bench.episodes.asked(), 2);
    assert_eq!(bench.rows(TOLD).await, [format!("{} 2 f {{}}", uuid(1))]);
    // What is told late and older changes nothing; what is newer does.
    bench.tell(&Told { version: 1, behavior: Behavior::Walking, ..told.clone() }).await;
    assert_eq!(bench.rows(TOLD).await, [format!("{} 2 f {{}}", uuid(1))]);
    bench.tell(&Told { version: 3, behavior: Behavior::Walking, ..told.clone() }).await;
    assert_eq!(bench.say(account, &told, Verdict::Wrong).await.behavior, "Walking");
}

#[tokio::test]
async fn an_event_of_another_looks_like_one_that_is_not() {
    let bench = Bench::new("others").await;
    let (_, _, theirs) = bench.told_pet(1).await;
    let (_, me, _) = bench.told_pet(2).await;
    // One of theirs that was not told here yet.
    let new = Told::new(theirs.pet, 3);
    bench.episodes.answer(&new.id(), new.episode());
    let nothing = Told::new(theirs.pet, 4);
    let mut refusals = Vec::new();
    for told in [&theirs, &new, &nothing] {
        refusals.push(bench.submit(me, submission(told, "positive")).await.unwrap_err());
        refusals.push(bench.create(me, creation(told, Verdict::Wrong)).await.unwrap_err());
        refusals.push(bench.list(me, listing(told)).await.unwrap_err());
    }
    assert_eq!((refusals[0].code(), reason(&refusals[0]).as_str()), (Code::NotFound, "EVENT_NOT_FOUND"));
    for refusal in &refusals {
        assert_eq!(seen(refusal), seen(&refusals[0]));
    }
    assert_eq!(bench.rows(TOLD).await.len(), 2, "nothing is learnt for somebody who may not know it");
}

#[tokio::test]
async fn behavior_away_is_not_a_missing_event() {
    let bench = Bench::new("behavior_away").await;
    let (_, account, told) = bench.told_pet(1).await;
    bench.episodes.set_away(true);
    let unknown = Told::new(told.pet, 2);
    for status in [
        bench.submit(account, submission(&unknown, "positive")).await.unwrap_err(),
        bench.list(account, listing(&unknown)).await.unwrap_err(),
    ] {
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "EVENT_UNKNOWN"));
    }
    // What was told needs nobody.
    bench.submit(account, submission(&told, "positive")).await.unwrap();
}

#[tokio::test]
async fn an_answer_that_cannot_be_used_is_no_missing_event() {
    let bench = Bench::new("nonsense").await;
    let pet = bench.pet_id();
    let account = bench.owner_of(pet);
    let told = Told { behavior: Behavior::Unspecified, ..Told::new(pet, 1) };
    bench.episodes.answer(&told.id(), told.episode());
    let status = bench.submit(account, submission(&told, "positive")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
}

#[tokio::test]
async fn a_superseded_event_is_still_spoken_of() {
    let bench = Bench::new("superseded").await;
    let (_, account, told) = bench.told_pet(1).await;
    bench.say(account, &told, Verdict::Wrong).await;
    bench.tell(&Told { version: 2, replaced_by: Some(vec![7, 8]), ..told.clone() }).await;
    let said = bench.say(account, &told, Verdict::Correct).await;
    assert_eq!((said.event_id, said.behavior), (told.id(), "Resting".to_owned()));
    let (id, heirs) = (uuid(1), format!("{{{},{}}}", uuid(7), uuid(8)));
    assert_eq!(
        bench.rows(KEPT).await,
        [format!("{id} resting resting 1 {{}} f"), format!("{id} resting resting 2 {heirs} f")]
    );
    assert_eq!(bench.list(account, listing(&told)).await.unwrap().feedback.len(), 2);
    assert_eq!(bench.episodes.asked(), 0);
}

#[tokio::test]
async fn of_what_was_superseded_before_it_was_known_the_heir_speaks_until_it_is_told() {
    let bench = Bench::new("secondhand").await;
    let pet = bench.pet_id();
    let account = bench.owner_of(pet);
    let asked = Told { version: 3, replaced_by: Some(vec![9]), ..Told::new(pet, 1) };
    let heir = Told { behavior: Behavior::Walking, rule: "walking", ..Told::new(pet, 9) };
    bench.episodes.answer(&asked.id(), heir.episode());
    let said = bench.say(account, &asked, Verdict::Wrong).await;
    assert_eq!((said.event_id.as_str(), said.behavior.as_str()), (event_id(1).as_str(), "Walking"));
    assert_eq!(bench.rows(KEPT).await, [format!("{} walking walking 1 {{{}}} t", uuid(1), uuid(9))]);
    assert_eq!(bench.list(account, listing(&asked)).await.unwrap().feedback, [said]);
    // Of what nobody knows that it was told, nothing is learnt.
    bench.archive.round().await.unwrap();
    assert!(bench.lines().is_empty());
    bench.tell(&asked).await;
    assert_eq!(bench.rows(KEPT).await, [format!("{} resting resting 3 {{{}}} f", uuid(1), uuid(9))]);
    bench.archive.round().await.unwrap();
    let [line] = bench.lines().try_into().unwrap();
    assert_eq!((line["behavior"].as_str(), line["event_version"].as_i64()), (Some("resting"), Some(3)));
}

/// Behavior, as far as it is asked: it knows one episode, not the second, and fails over the third.
struct Stub(Told);

#[tonic::async_trait]
impl BehaviorService for Stub {
    async fn list_behaviors(
        &self,
        _request: Request<behavior::ListBehaviorsRequest>,
    ) -> Result<Response<behavior::ListBehaviorsResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_behavior(
        &self,
        _request: Request<behavior::GetBehaviorRequest>,
    ) -> Result<Response<behavior::Episode>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_baseline(
        &self,
        _request: Request<behavior::GetBaselineRequest>,
    ) -> Result<Response<behavior::Baseline>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_health_score(
        &self,
        _request: Request<behavior::GetHealthScoreRequest>,
    ) -> Result<Response<behavior::HealthScore>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_forecast(
        &self,
        _request: Request<behavior::GetForecastRequest>,
    ) -> Result<Response<behavior::Forecast>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn analyze_readings(
        &self,
        _request: Request<behavior::AnalyzeReadingsRequest>,
    ) -> Result<Response<behavior::AnalyzeReadingsResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn describe_episode(
        &self,
        request: Request<behavior::DescribeEpisodeRequest>,
    ) -> Result<Response<behavior::Episode>, Status> {
        let id = request.into_inner().episode_id;
        if id == self.0.id() {
            Ok(Response::new(self.0.episode()))
        } else if id == event_id(2) {
            Err(Status::not_found("no such episode"))
        } else {
            Err(Status::internal("out of order"))
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behavior_is_asked_over_the_mesh() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let bench = Bench::planned(plan().with("PETTY_ENDPOINT_BEHAVIOR", endpoint), "over_the_mesh").await;
    let told = Told::new(bench.pet_id(), 1);
    let server =
        tonic::transport::Server::builder().add_service(BehaviorServiceServer::new(Stub(told.clone())));
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    bench.base.context.tasks.spawn("behavior", server.serve_with_incoming(incoming));
    let episodes = RemoteEpisodes::new(bench.base.mesh.channel("behavior"));
    assert_eq!(episodes.describe(&told.id()).await.unwrap(), Some(told.episode()));
    assert_eq!(episodes.describe(&event_id(2)).await.unwrap(), None);
    for episodes in [episodes, RemoteEpisodes::new(bench.base.mesh.channel("nobody"))] {
        let error = episodes.describe(&event_id(3)).await.unwrap_err();
        assert_eq!((error.code, error.reason), (petty_chassis::Code::Unavailable, "EVENT_UNKNOWN"));
    }
}
