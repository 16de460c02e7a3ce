//! Two sockets, one at each of two gateways: the owner's, and a friend's who may see two of the pets.

use petty_tests::mesh::Mesh;
use petty_tests::rest::Account;
use petty_tests::socket::Socket;
use serde_json::Value;
use tokio::time::Instant;

use super::Scene;

const OTHER_COLLAR: &str = "collar-stream-other";

pub(super) struct Sockets {
    owners: Socket,
    friends: Socket,
    /// The friend's other pet, which goes on being shared, and its collar's token.
    other: String,
    device: String,
    /// The friend's last number of the other pet.
    last: u64,
}

impl Sockets {
    /// The owner's of the scene's pet, and the friend's of that and of another one.
    pub(super) async fn open(mesh: &Mesh, scene: &Scene, friend: &Account) -> Self {
        let other = scene.client.pet(&scene.owner, "Mia", "CAT").await;
        let device = scene.client.pair(&scene.owner, &other, OTHER_COLLAR, Some(scene.begin)).await;
        scene.share(&other, friend).await;
        let mut owners = Socket::open(mesh.http(0), &scene.owner.token).await.expect("a socket");
        let mut friends = Socket::open(mesh.http(1), &friend.token).await.expect("a socket");
        subscribe(&mut owners, &scene.pet).await;
        for pet in [&scene.pet, &other] {
            subscribe(&mut friends, pet).await;
        }
        Self { owners, friends, other, device, last: 0 }
    }

    /// What is measured of both pets comes over the one socket of the friend, and over the owner's.
    pub(super) async fn are_updated(&mut self, scene: &Scene, from: i64) {
        scene.client.ingest_patiently(&scene.device, &scene.restless(from, 3)).await;
        for socket in [&mut self.owners, &mut self.friends] {
            is_updated(socket, &scene.pet, 0).await;
        }
        self.others_is_updated(scene, from).await;
    }

    /// What is measured of the other pet comes over the friend's socket.
    pub(super) async fn others_is_updated(&mut self, scene: &Scene, from: i64) {
        let readings = scene.restless_of(OTHER_COLLAR, from, 3);
        scene.client.ingest_patiently(&self.device, &readings).await;
        self.last = is_updated(&mut self.friends, &self.other, self.last).await;
    }

    /// So many accounts look at a pet, as the owner is told at one gateway, whichever the others are at.
    pub(super) async fn owners_counts(&mut self, pet: &str, watching: u64) {
        while self.owners.told("PRESENCE", pet).await["watching"] != watching {}
    }

    /// When the friend was told that no updates of a pet come any more, and how.
    pub(super) async fn friends_is_unsubscribed(&mut self, pet: &str) -> (Instant, Value) {
        let told = self.friends.told("UNSUBSCRIBED", pet).await;
        (Instant::now(), told)
    }

    /// When the owner's was closed, and by which code.
    pub(super) async fn owners_is_closed(&mut self) -> (Instant, Option<u16>) {
        let code = self.owners.closed().await;
        (Instant::now(), code)
    }
}

async fn subscribe(socket: &mut Socket, pet: &str) {
    socket.subscribe(pet, None).await.expect("it is open");
    socket.told("SUBSCRIBED", pet).await;
    let ready = socket.told("UPDATE", pet).await;
    assert_eq!(ready["update"]["type"], "READY", "{ready}");
}

/// Waits for an entry of a pet after the last that was seen; its number.
async fn is_updated(socket: &mut Socket, pet: &str, last: u64) -> u64 {
    loop {
        let told = socket.told("UPDATE", pet).await;
        let update = &told["update"];
        let number: u64 = update["id"].as_str().and_then(|id| id.parse().ok()).expect("a number");
        if update["type"] == "ENTRY" && number > last {
            assert_eq!(update["entry"]["pet_id"], pet, "{told}");
            return number;
        }
    }
}
