//! Checkpoints say what is there, whatever was flushed, merged and deleted meanwhile, and recovery believes nothing else.

use codegraph_vector_base::{ErrorKind, NodeId};
use codegraph_vector_testkit::{Rng, SeededRandom, SimClock, SimVfs};

use super::*;
use crate::filter::Filter;
use crate::node::CodeNode;
use crate::options::{Environment, OpenOptions, Settings, TransactionConfig};
use crate::store::core::Handle;
use crate::store::{Locking, Snapshot, Write};

fn options(sim: &SimVfs) -> OpenOptions {
    let environment = Environment {
        vfs: Arc::new(sim.clone()),
        clock: Arc::new(SimClock::default()),
        random: Arc::new(SeededRandom::new(7)),
    };
    let settings = Some(Settings { background: false, ..Settings::default() });
    OpenOptions { dimension: Some(2), settings, environment, ..OpenOptions::default() }
}

fn open(sim: &SimVfs) -> Result<Arc<Handle>> {
    crate::store::open("/store".into(), &options(sim)).map(Handle::new)
}

fn node(id: NodeId) -> CodeNode {
    CodeNode::new(id, vec![id as f32, 1.0])
}

fn write(core: &Arc<Handle>, write: &Write<'_>) {
    core.submit(write, Locking::Try).unwrap().wait().unwrap();
}

/// What the rows that a checkpoint has to hold come to, by looking at each of them as anyone may.
fn by_hand(core: &Arc<Handle>) -> Contents {
    let snapshot = Snapshot::open(core).unwrap();
    let mut contents = Contents::default();
    for id in snapshot.ids(&Filter::everything()).unwrap() {
        let row = snapshot.vector_metadata(id).unwrap().unwrap();
        contents.add(id, row.seqno, row.checksum);
    }
    contents
}

fn said(info: &CheckpointInfo) -> Contents {
    Contents { rows: info.rows, checksum: info.checksum }
}

#[test]
fn a_checkpoint_holds_what_was_visible_when_it_was_made() {
    let sim = SimVfs::new(1);
    let core = open(&sim).unwrap();
    assert_eq!(said(&core.latest_checkpoint().unwrap()), Contents::default());
    let mut rng = Rng::new(5);
    for round in 0..60 {
        let nodes: Vec<CodeNode> = (0..4).map(|_| node(rng.below(40) as NodeId)).collect();
        nodes.iter().for_each(|node| write(&core, &Write::Put(std::slice::from_ref(node))));
        write(&core, &Write::Delete(&[rng.below(40) as NodeId, rng.below(40) as NodeId]));
        let before = core.latest_checkpoint().unwrap();
        match rng.below(4) {
            0 => {
                core.merge_all().unwrap();
                let merged = core.latest_checkpoint().unwrap();
                assert_eq!(merged.seqno, before.seqno, "a merge moves no checkpoint");
            }
            1 | 2 => {
                let info = core.create_checkpoint().unwrap();
                assert_eq!((info.seqno, said(&info)), (core.visible(), by_hand(&core)), "round {round}");
                assert!(info.generation > before.generation && info.lsn >= before.lsn);
                assert_eq!(info, core.latest_checkpoint().unwrap());
            }
            _ => {}
        }
        assert!(core.verify().unwrap().is_clean(), "round {round}");
        let (latest, again) = (core.latest_checkpoint().unwrap(), open(&sim.kill()).unwrap());
        assert_eq!(again.latest_checkpoint().unwrap(), latest, "recovery agrees, round {round}");
    }
}

/// Installs a manifest that says of the contents what `change` makes of them.
fn lie(core: &Arc<Handle>, change: impl FnOnce(&mut Contents)) {
    core.install(|next| {
        change(next.contents.as_mut().unwrap());
        Ok(())
    })
    .unwrap();
}

#[test]
fn recovery_and_verify_refuse_what_does_not_come_to_the_sum_and_a_clean_close_is_trusted() {
    let sim = SimVfs::new(1);
    let core = open(&sim).unwrap();
    write(&core, &Write::Put(&[node(1), node(2)]));
    core.create_checkpoint().unwrap();
    lie(&core, |contents| contents.checksum ^= 1);
    let report = core.verify().unwrap();
    assert!(report.bad_blocks.iter().any(|bad| bad.what.contains("checkpoint")), "{report:?}");
    let killed = sim.kill();
    let error = open(&killed).err().unwrap();
    assert!(error.kind() == ErrorKind::Corrupt && error.message().contains("2 rows"), "{error}");
    core.close().unwrap();
    let trusting = open(&sim).unwrap();
    assert_eq!(trusting.verify().unwrap().bad_blocks.len(), 1);
}

#[test]
fn deaths_that_are_not_those_of_the_checkpoint_are_noticed() {
    let sim = SimVfs::new(1);
    let core = open(&sim).unwrap();
    let nodes: Vec<CodeNode> = (1..=3).map(node).collect();
    write(&core, &Write::Put(&nodes));
    core.flush().unwrap();
    write(&core, &Write::Delete(&[2]));
    core.flush().unwrap();
    // Another row dies in its place: every checksum of every file fits, and the number of rows, too.
    let forged = core.manifests.lock().current.successor();
    let known = forged.segments[0].clone();
    let path = core.layout.deaths_path(known.id, forged.generation);
    let other = [(0, core.visible())];
    let vfs = &*core.environment.vfs;
    let deaths = codegraph_vector_storage::write_deaths(
        vfs,
        &path,
        core.store_id,
        known.id,
        forged.generation,
        &other,
    );
    core.install(|next| {
        next.segments[0].deaths = Some(deaths.unwrap());
        Ok(())
    })
    .unwrap();
    let error = open(&sim.kill()).err().unwrap();
    assert!(error.kind() == ErrorKind::Corrupt && error.message().contains("checksum"), "{error}");
}

#[test]
fn a_manifest_that_does_not_know_its_contents_is_replaced_when_the_store_is_opened() {
    let sim = SimVfs::new(1);
    let core = open(&sim).unwrap();
    write(&core, &Write::Put(&[node(1), node(2)]));
    let made = core.create_checkpoint().unwrap();
    write(&core, &Write::Delete(&[1]));
    core.install(|next| {
        next.contents = None;
        Ok(())
    })
    .unwrap();
    let killed = sim.kill();
    let reader = crate::store::open("/store".into(), &OpenOptions { read_only: true, ..options(&killed) });
    let read = reader.map(Handle::new).unwrap().latest_checkpoint().unwrap();
    assert_eq!((read.rows, read.checksum, read.seqno), (made.rows, made.checksum, made.seqno));
    let core = open(&killed).unwrap();
    let known = core.manifests.lock().current.contents;
    assert_eq!(known, Some(said(&made)));
    assert!(core.latest_checkpoint().unwrap().generation > read.generation);
}

#[test]
fn checkpoints_are_made_in_the_background_where_the_settings_ask_for_them() {
    let sim = SimVfs::new(1);
    let core = open(&sim).unwrap();
    let of = |interval_ms| TransactionConfig {
        checkpoint_interval_ms: interval_ms,
        ..TransactionConfig::default()
    };
    core.configure(|settings| {
        settings.background = true;
        settings.transactions = of(1);
    })
    .unwrap();
    for id in 1..=3 {
        write(&core, &Write::Put(&[node(id)]));
        while core.latest_checkpoint().unwrap().seqno < core.visible() {
            std::thread::yield_now();
        }
    }
    assert_eq!(core.latest_checkpoint().unwrap().rows, 3);
    core.configure(|settings| settings.transactions = of(0)).unwrap();
}

#[test]
fn a_merge_behind_a_checkpoint_leaves_what_died_since_to_the_log_and_a_standalone_one_does_not() {
    let sim = SimVfs::new(1);
    let core = open(&sim).unwrap();
    let standalone = |core: &Core| core.manifests.lock().current.is_standalone();
    for id in [1, 2] {
        write(&core, &Write::Put(&[node(id)]));
        core.flush().unwrap();
    }
    assert!(standalone(&core));
    write(&core, &Write::Put(&[CodeNode { start_line: Some(7), ..node(1) }]));
    core.merge_all().unwrap();
    assert!(
        !standalone(&core),
        "the row of node 1 that the segments have left out is in no file but the log"
    );
    let manifest = core.standalone_checkpoint().unwrap();
    assert!(manifest.is_standalone() && standalone(&core));
    assert_eq!((manifest.contents, manifest.checkpoint.seqno), (Some(by_hand(&core)), core.visible()));
}
