//! The disk that readings are on is full: a small tmpfs, mounted where nobody else sees it. What does not fit is refused, and
//! nothing of it is there; what was acknowledged stays; with room on the disk it goes on by itself.

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use petty_chassis::types::Entropy;
use petty_provision::Stack;
use petty_scenarios::chance::Chance;
use petty_tests::eventually;
use petty_tests::mesh::Mesh;
use petty_tests::tables::Tables;

use super::ledger::Ledger;
use super::load::Load;
use super::{HEALED, verdict};

/// Room for ingest's empty database, and a little more.
const SIZE_MB: u64 = 64;
/// So many requests that find no room.
const REFUSED: usize = 40;

/// The small disk, for as long as it is mounted.
struct Disk {
    at: PathBuf,
}

impl Disk {
    /// Mounts it, and puts ingest's database on it.
    async fn below(stack: &Stack) -> Self {
        let at = stack.data_dir().join("small");
        std::fs::create_dir(&at).unwrap();
        let server = stack.postgres().pid().unwrap();
        let server = std::fs::metadata(format!("/proc/{server}")).unwrap();
        let options = format!("size={SIZE_MB}m,mode=700,uid={},gid={}", server.uid(), server.gid());
        mount(Some("tmpfs"), &at, Some("tmpfs"), MsFlags::empty(), Some(options.as_str())).unwrap();
        let disk = Self { at };
        let admin = Tables::of(stack, "auth").await;
        let tablespace = format!("CREATE TABLESPACE small LOCATION '{}'", disk.at.display());
        assert_eq!(admin.refused(&tablespace).await, None);
        eventually("nobody is connected to the database any more", HEALED, || async {
            admin.refused("ALTER DATABASE petty_ingest SET TABLESPACE small").await.is_none()
        })
        .await;
        disk
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }

    /// Leaves not a byte.
    fn fill(&self) {
        let mut filler = std::fs::File::create(self.filler()).unwrap();
        for size in [1 << 20, 4_096] {
            let zeros = vec![0; size];
            while filler.write_all(&zeros).is_ok() {}
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What is still open there stays until it is closed.
        let _gone = umount2(&self.at, MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_full_disk_refuses_what_does_not_fit_and_loses_nothing() {
    // The mount is this thread's own, and that of the servers which it starts.
    #[expect(
        clippy::disallowed_methods,
        reason = "a mount namespace belongs to a thread, and this one is joined"
    )]
    let tested = std::thread::spawn(|| {
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        let alone = unshare(CloneFlags::CLONE_NEWNS)
            .and_then(|()| mount(None::<&Path>, "/", None::<&Path>, private, None::<&Path>));
        if let Err(why) = alone {
            println!("skipped: there is no mounting here: {why}");
            return;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(full_disk());
    });
    tested.join().unwrap();
}

async fn full_disk() {
    let seed = u64::from_be_bytes(Entropy.bytes());
    println!("seed {seed}");
    let mut disk = None;
    let mesh = Mesh::start_prepared(crate::NODE, &[], &[], async |stack| {
        disk = Some(Disk::below(stack).await);
    })
    .await;
    let disk = disk.unwrap();
    let ledger = Ledger::default();
    let load = Load::on(&mesh, &mut Chance::of(&[seed])).await;
    let stop = AtomicBool::new(false);
    let filling = async {
        eventually("it works", HEALED, || async { ledger.acknowledged() >= 50 }).await;
        disk.fill();
        let reached = ledger.refused() + REFUSED;
        eventually("what finds no room is refused", HEALED, || async { ledger.refused() >= reached }).await;
        disk.free();
        let reached = ledger.acknowledged() + 50;
        eventually("with room it goes on", HEALED, || async { ledger.acknowledged() >= reached }).await;
        stop.store(true, Ordering::Release);
    };
    tokio::join!(load.run(&ledger, &stop), filling);
    let told = format!("seed {seed}, {}", ledger.summary());
    println!("{told}");
    verdict::holds(&mesh, &ledger, &told).await;
    assert!(!mesh.logs().contains("panicked"), "nothing panicked");
}
