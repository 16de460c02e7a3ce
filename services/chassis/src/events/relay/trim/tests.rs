use std::io;
use std::sync::{Arc, Mutex};

use petty_provision::Stack;
use redis::AsyncCommands as _;
use redis::streams::{StreamInfoConsumersReply, StreamPendingReply, StreamReadReply};

use super::*;
use crate::events::redis::Connector;
use crate::events::topics;

/// A Redis, a topic, and its trimming, which is due whenever it is asked for.
struct Scene {
    _stack: Stack,
    redis: ConnectionManager,
    topic: &'static Topic,
    key: String,
    trimming: Trimming,
}

impl Scene {
    async fn new(topic: &'static Topic) -> Self {
        let stack = Stack::temporary().await.unwrap();
        let redis = Connector::new(&stack.redis().url()).unwrap().shared();
        let (key, trimming) = (topic.stream(0), Trimming::default());
        Self { _stack: stack, redis, topic, key, trimming }
    }

    async fn trim(&mut self) {
        self.trimming.trimmed = None;
        self.trimming.looked_for_names = None;
        self.trimming.trim(&mut self.redis, &[self.topic], &[0]).await.unwrap();
    }

    async fn add(&mut self, entries: usize) {
        for _ in 0..entries {
            let () = self.redis.xadd(&self.key, "*", &[("e", "")]).await.unwrap();
        }
    }

    /// Reads so many under a name; their ids.
    async fn read(&mut self, group: &str, name: &str, entries: usize) -> Vec<String> {
        let mut command = redis::cmd("XREADGROUP");
        command.arg("GROUP").arg(group).arg(name).arg("COUNT").arg(entries);
        command.arg("STREAMS").arg(&self.key).arg(">");
        let reply: StreamReadReply = command.query_async(&mut self.redis).await.unwrap();
        reply.keys.into_iter().flat_map(|key| key.ids).map(|entry| entry.id).collect()
    }

    async fn handle(&mut self, group: &str, name: &str, entries: usize) {
        let ids = self.read(group, name, entries).await;
        let () = self.redis.xack(&self.key, group, &ids).await.unwrap();
    }

    async fn destroy(&mut self, group: &str) {
        let () = self.redis.xgroup_destroy(&self.key, group).await.unwrap();
    }

    async fn length(&mut self) -> usize {
        self.redis.xlen(&self.key).await.unwrap()
    }

    async fn groups(&mut self) -> Vec<String> {
        let reply: StreamInfoGroupsReply = self.redis.xinfo_groups(&self.key).await.unwrap();
        reply.groups.into_iter().map(|group| group.name).collect()
    }

    async fn memory(&mut self, bytes: usize) {
        let mut command = redis::cmd("CONFIG");
        command.arg("SET").arg("maxmemory").arg(bytes);
        command.query_async::<()>(&mut self.redis).await.unwrap();
    }
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_group_that_is_nobodys_is_told_once_and_holds_trimming_up_until_it_is_destroyed() {
    let mut scene = Scene::new(&topics::READINGS_ACCEPTED).await;
    scene.trim().await;
    scene.add(3).await;
    scene.handle("behavior", "one", 3).await;
    let () = scene.redis.xgroup_create(&scene.key, "somebodys", "0").await.unwrap();
    let log = Log::default();
    let written = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || written.clone()).with_ansi(false).finish();
    let listening = tracing::subscriber::set_default(subscriber);
    for _ in 0..3 {
        scene.trim().await;
    }
    drop(listening);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let told: Vec<&str> = text.lines().filter(|line| line.contains("XGROUP DESTROY")).collect();
    assert_eq!(told.len(), 1, "{text}");
    assert!(told[0].contains("somebodys") && told[0].contains(&scene.key), "{text}");
    assert_eq!(scene.length().await, 3);
    scene.destroy("somebodys").await;
    scene.trim().await;
    assert_eq!(scene.length().await, 0);
}

#[tokio::test]
async fn groups_are_made_before_there_is_anything_and_one_that_a_full_redis_refuses_holds_nothing_up() {
    let mut scene = Scene::new(&topics::BEHAVIOR_CHANGED).await;
    scene.trim().await;
    assert_eq!(scene.groups().await, ["feedback", "timeline"]);
    scene.add(3).await;
    scene.handle("timeline", "one", 3).await;
    // One that is missing is made again, and may need all.
    scene.destroy("feedback").await;
    for _ in 0..2 {
        scene.trim().await;
        assert_eq!((scene.groups().await.len(), scene.length().await), (2, 3));
    }
    scene.destroy("feedback").await;
    scene.memory(1).await;
    scene.trim().await;
    assert_eq!((scene.groups().await, scene.length().await), (vec!["timeline".to_owned()], 0));
    scene.memory(0).await;
    scene.add(1).await;
    scene.trim().await;
    assert_eq!((scene.groups().await.len(), scene.length().await), (2, 1));
}

#[tokio::test]
async fn names_that_nobody_reads_under_go_unless_something_is_pending() {
    let mut scene = Scene::new(&topics::READINGS_ACCEPTED).await;
    scene.trim().await;
    scene.add(3).await;
    scene.handle("behavior", "gone", 1).await;
    scene.read("behavior", "crashed", 1).await;
    // Time itself is what is tested.
    tokio::time::sleep(Duration::from_millis(300)).await;
    scene.handle("behavior", "there", 1).await;
    let mut names = async |gone_after| {
        scene.trimming.gone_after = gone_after;
        scene.trim().await;
        let reply: StreamInfoConsumersReply =
            scene.redis.xinfo_consumers(&scene.key, "behavior").await.unwrap();
        let mut names: Vec<String> = reply.consumers.into_iter().map(|consumer| consumer.name).collect();
        names.sort();
        names
    };
    assert_eq!(names(names::GONE_AFTER).await, ["crashed", "gone", "there"]);
    assert_eq!(names(Duration::from_millis(250)).await, ["crashed", "there"]);
    let pending: StreamPendingReply = scene.redis.xpending(&scene.key, "behavior").await.unwrap();
    assert_eq!(pending.count(), 1);
}
