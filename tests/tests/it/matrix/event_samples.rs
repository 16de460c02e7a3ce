//! Good requests of what operates events. Each of their services is asked of its own; here it is auth.

use petty_chassis::types::{Clock, EventId, PetId};
use petty_proto::policy::MethodPolicy;
use petty_tests::tables::Tables;
use serde_json::{Value, json};

use super::scene::Scene;

impl Scene {
    /// A good request of a method, if it is one of these.
    pub(super) async fn of_events(&self, policy: &MethodPolicy) -> Option<Value> {
        Some(match policy.method {
            "ListDeadLetters" => json!({"page_size": 5}),
            "GetDeadLetter" | "RedriveDeadLetter" | "DropDeadLetter" => self.dead_letter().await,
            "ReplayEvents" => {
                let since = Clock::system().now() - jiff::SignedDuration::from_secs(1);
                json!({"since": since.to_string()})
            }
            _ => return None,
        })
    }

    /// A dead letter of auth's that nobody will miss.
    async fn dead_letter(&self) -> Value {
        let clock = Clock::system();
        let (event, pet) = (EventId::new(&clock), PetId::new(&clock));
        let tables = Tables::of(&self.mesh.stack, "auth").await;
        let bury = format!(
            "INSERT INTO event_dead_letters
             (event_id, pet_id, topic, source, shard, number, reason, error, envelope, created_at)
             VALUES ('{event}', '{pet}', 'data.erased', '', 0, 0, 'BAD_ENVELOPE', 'bad envelope', '\\xff', now())"
        );
        assert_eq!(tables.refused(&bury).await, None);
        json!({"event_id": event.to_string(), "pet_id": pet.to_string()})
    }
}
