//! A whole service, from its environment, with none of the others there.

use std::time::Duration;

use petty_chassis::{Service, Shutdown, Tasks, embed};
use tokio::time::timeout;

use crate::plan::Plan;
use crate::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a service with what every service reads: it becomes ready, but for auth's keys, which nobody tells it here, and ends
/// in order once it drains.
///
/// # Panics
/// Where it does not.
pub async fn runs_alone<S: Service>(plan: Plan) {
    let shutdown = Shutdown::new();
    let tasks = Tasks::new(shutdown.clone());
    let (environment, _streams) = plan.consuming().environment("alone_in_the_mesh").await;
    let running = embed::<S>(environment, shutdown.clone(), tasks.clone()).await.expect("it starts");
    eventually("it becomes ready", || async {
        running.readiness.report().checks.iter().all(|check| check.ok || check.name == "keys")
    })
    .await;
    shutdown.begin();
    timeout(PATIENCE, running.join).await.expect("it ends once it drains").expect("it ends in order");
    assert_eq!(shutdown.failure(), None);
    for task in ["event-consumer", "event-worker"] {
        eventually(task, || async { tasks.running(task) == 0 }).await;
    }
    tasks.wait(Duration::ZERO).await;
}
