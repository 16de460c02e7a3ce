//! The whole service, from its environment.

use std::time::Duration;

use petty_behavior::Behavior;
use petty_chassis::{Shutdown, Tasks, embed};
use tokio::time::timeout;

use crate::bench::{environment, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn the_service_becomes_ready_without_the_others_and_drains() {
    let shutdown = Shutdown::new();
    let tasks = Tasks::new(shutdown.clone());
    let environment = environment("alone_in_the_mesh", 15).await;
    let running = embed::<Behavior>(environment, shutdown.clone(), tasks.clone()).await.unwrap();
    timeout(Duration::from_secs(30), running.readiness.ready()).await.unwrap();
    shutdown.begin();
    timeout(Duration::from_secs(30), running.join).await.unwrap().unwrap();
    assert_eq!(shutdown.failure(), None);
    for task in ["event-consumer", "event-worker"] {
        let tasks = &tasks;
        eventually(task, || async move { tasks.running(task) == 0 }).await;
    }
    tasks.wait(Duration::ZERO).await;
}
