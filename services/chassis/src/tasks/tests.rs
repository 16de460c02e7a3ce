use futures::future::BoxFuture;

use super::*;

fn tasks() -> (Tasks, Shutdown) {
    let shutdown = Shutdown::new();
    (Tasks::new(shutdown.clone()).of_service("auth", "a1"), shutdown)
}

fn panics(task: &str) -> bool {
    telemetry::prometheus_text().lines().any(|line| {
        line.starts_with("petty_task_panics_total{")
            && line.contains(&format!("task=\"{task}\""))
            && line.ends_with(" 1")
    })
}

#[tokio::test]
async fn a_panic_is_counted_and_takes_nobody_along() {
    let (tasks, shutdown) = tasks();
    let panicking = tasks.spawn("panics_once", async { panic!("on purpose") });
    let other = tasks.spawn("other", async { 7 });
    assert_eq!(panicking.await.unwrap(), None::<()>);
    assert_eq!(other.await.unwrap(), Some(7));
    assert!(panics("panics_once"), "{}", telemetry::prometheus_text());
    assert!(!shutdown.is_draining());
}

#[tokio::test]
async fn what_is_critical_takes_the_service_down_with_its_reason() {
    for (task, reason) in [
        (async { Ok(()) }.boxed(), "relay ended"),
        (async { Err(anyhow::anyhow!("lost").context("redis")) }.boxed(), "relay: redis: lost"),
        (async { panic!("on purpose") }.boxed(), "relay panicked: on purpose"),
    ] {
        let (tasks, shutdown) = tasks();
        tasks.spawn_critical("relay", task);
        shutdown.draining().await;
        assert_eq!(shutdown.failure().as_deref(), Some(reason));
    }
}

#[tokio::test]
async fn what_is_vital_may_end_but_takes_the_service_down_when_it_panics() {
    type Spawn = fn(&Tasks, BoxFuture<'static, ()>);
    let ways: [Spawn; 3] = [
        |tasks, future| tasks.spawn_vital("vital", future),
        |tasks, future| tasks.spawn_vital_behind("vital", future),
        |tasks, future| tasks.spawn_background("vital", future),
    ];
    for spawn in ways {
        let (tasks, shutdown) = tasks();
        spawn(&tasks, async {}.boxed());
        while tasks.running("vital") > 0 {
            tokio::task::yield_now().await;
        }
        assert!(!shutdown.is_draining());
        spawn(&tasks, async { panic!("on purpose") }.boxed());
        let drained = tokio::time::timeout(Duration::from_secs(5), shutdown.draining()).await;
        assert!(drained.is_ok(), "the service goes on without it");
        assert_eq!(shutdown.failure().as_deref(), Some("vital panicked: on purpose"));
        assert!(tasks.wait(Duration::from_secs(5)).await);
    }
}

#[tokio::test]
async fn ending_while_draining_is_no_failure() {
    let (tasks, shutdown) = tasks();
    let draining = shutdown.draining();
    tasks.spawn_critical("server", async move {
        draining.await;
        Ok(())
    });
    shutdown.begin();
    assert!(tasks.wait(Duration::from_secs(5)).await);
    assert_eq!(shutdown.failure(), None);
}

#[tokio::test]
async fn a_task_that_ignores_the_drain_is_dropped_after_the_grace() {
    let (tasks, shutdown) = tasks();
    let stubborn = tasks.spawn("stubborn", std::future::pending::<()>());
    assert_eq!(tasks.running("stubborn"), 1);
    shutdown.begin();
    assert!(!tasks.wait(Duration::from_millis(20)).await);
    assert!(shutdown.is_cancelled());
    assert_eq!(stubborn.await.unwrap(), None);
    assert_eq!(tasks.running("stubborn"), 0);
}

#[tokio::test]
async fn blocking_work_answers_or_is_reported_lost() {
    let (tasks, _shutdown) = tasks();
    assert_eq!(tasks.spawn_blocking("hash", || 3).await, Ok(3));
    let lost = tasks.spawn_blocking("panics_blocking", || -> i32 { panic!("on purpose") }).await;
    assert_eq!(lost, Err(TaskLost("panics_blocking")));
    assert!(panics("panics_blocking"));
}

#[tokio::test]
async fn a_thread_gives_way_and_is_waited_for() {
    let (tasks, shutdown) = tasks();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let (say, said) = tokio::sync::oneshot::channel();
    tasks
        .spawn_thread("busy", move || {
            #[cfg(target_os = "linux")]
            say.send(rustix::process::getpriority_process(None).unwrap()).unwrap();
            #[cfg(not(target_os = "linux"))]
            say.send(10).unwrap();
            ended.recv().unwrap();
        })
        .unwrap();
    assert_eq!((said.await.unwrap(), tasks.running("busy")), (10, 1));
    #[cfg(target_os = "linux")]
    assert_eq!(rustix::process::getpriority_process(None).unwrap(), 0);
    shutdown.begin();
    assert!(!tasks.wait(Duration::from_millis(20)).await);
    end.send(()).unwrap();
    assert!(tasks.wait(Duration::from_secs(5)).await);
    assert_eq!(tasks.running("busy"), 0);

    tasks.spawn_thread("panics_thread", || panic!("on purpose")).unwrap();
    assert!(tasks.wait(Duration::from_secs(5)).await);
    assert!(panics("panics_thread"));
}

#[tokio::test]
async fn what_gives_way_uses_the_runtime_and_ends_with_the_shutdown() {
    let (tasks, shutdown) = tasks();
    let (say, said) = tokio::sync::oneshot::channel();
    tasks.spawn_behind("behind", async move {
        tokio::time::sleep(Duration::from_millis(1)).await;
        #[cfg(target_os = "linux")]
        say.send(rustix::process::getpriority_process(None).unwrap()).unwrap();
        #[cfg(not(target_os = "linux"))]
        say.send(10).unwrap();
        std::future::pending::<()>().await;
    });
    assert_eq!(said.await.unwrap(), 10);
    assert!(tasks.running("behind") > 0);
    shutdown.begin();
    assert!(!tasks.wait(Duration::from_millis(20)).await);
    while tasks.running("behind") > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    tasks.spawn_behind("panics_behind", async { panic!("on purpose") });
    assert!(tasks.wait(Duration::from_secs(5)).await);
    assert!(panics("panics_behind"));
}
