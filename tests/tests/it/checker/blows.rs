//! What is done to the mesh.

use petty_tests::mesh::Mesh;

/// One blow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blow {
    /// kill -9 of a service, which is started again at once.
    Kill(&'static str),
    /// kill -9 of Postgres and all its children.
    KillPostgres,
    /// kill -9 of Redis.
    KillRedis,
    /// Postgres is stopped in good order, and started again.
    RestartPostgres,
    /// Redis forgets everything.
    FlushRedis,
}

/// How often Postgres is restarted, and Redis emptied.
const ORDERLY: usize = 3;

/// So many of each kill, and a few of the rest.
pub(super) fn all(rounds: usize) -> Vec<Blow> {
    let kills = [Blow::Kill("ingest"), Blow::Kill("gateway"), Blow::KillPostgres, Blow::KillRedis];
    let rest = [Blow::RestartPostgres, Blow::FlushRedis];
    let kills = kills.into_iter().flat_map(|blow| vec![blow; rounds]);
    kills.chain(rest.into_iter().flat_map(|blow| vec![blow; ORDERLY])).collect()
}

impl Blow {
    pub(super) async fn fall(self, mesh: &mut Mesh) {
        match self {
            Self::Kill(service) => {
                mesh.kill(service, 0);
                mesh.spawn(service, 0);
            }
            Self::KillPostgres => {
                mesh.stack.postgres().kill();
                mesh.stack.postgres().restart().await.unwrap();
            }
            Self::KillRedis => {
                mesh.stack.redis().kill();
                mesh.stack.redis().restart().await.unwrap();
            }
            Self::RestartPostgres => mesh.stack.postgres().restart().await.unwrap(),
            Self::FlushRedis => mesh.stack.redis().flushall().await.unwrap(),
        }
    }
}
