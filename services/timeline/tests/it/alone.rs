//! The whole service, from its environment.

use petty_timeline::Timeline;

use crate::bench::plan;

#[tokio::test(flavor = "multi_thread")]
async fn the_service_becomes_ready_without_the_others_and_drains() {
    petty_testbench::runs_alone::<Timeline>(plan()).await;
}
