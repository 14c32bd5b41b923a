use super::*;
use proptest::prelude::*;

const SEAL: Seal = Seal { store: StoreId([7; 16]), epoch: Epoch(3) };

fn framed(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    append(&mut out, &SEAL, Lsn(64), 1, &[payload]);
    out
}

fn read(bytes: &[u8]) -> Result<Frame<'_>, Damage> {
    parse(bytes, &SEAL, Lsn(64), Check::Verify)
}

#[test]
fn golden_bytes() {
    let expected = [219, 117, 175, 145, 2, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, b'h', b'i', 0, 0, 0, 0, 0, 0];
    assert_eq!(framed(b"hi"), expected);
    assert_eq!(
        read(&framed(b"hi")).map(|frame| (frame.kind, frame.payload.to_vec(), frame.len)),
        Ok((1, b"hi".to_vec(), 24))
    );
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let good = framed(b"some payload of a record");
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&bad).is_err(), "bit {bit}");
    }
    for cut in 0..good.len() {
        assert!(read(&good[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn another_store_epoch_or_position_is_not_ours() {
    let bytes = framed(b"x");
    let other_store = Seal { store: StoreId([8; 16]), ..SEAL };
    let other_epoch = Seal { epoch: Epoch(4), ..SEAL };
    assert_eq!(parse(&bytes, &other_store, Lsn(64), Check::Verify), Err(Damage::Checksum));
    assert_eq!(parse(&bytes, &other_epoch, Lsn(64), Check::Verify), Err(Damage::Checksum));
    assert_eq!(parse(&bytes, &SEAL, Lsn(72), Check::Verify), Err(Damage::Checksum));
}

#[test]
fn zeros_are_blank_and_a_huge_length_is_refused_unread() {
    assert_eq!(read(&[0; 64]), Err(Damage::Blank));
    let mut bytes = framed(b"x");
    bytes[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(read(&bytes), Err(Damage::Header));
}

proptest! {
    #[test]
    fn round_trip(payload: Vec<u8>, cut in 0usize..50, lsn in 0u64..1 << 40) {
        let cut = cut.min(payload.len());
        let mut out = Vec::new();
        append(&mut out, &SEAL, Lsn(lsn), 9, &[&payload[..cut], &payload[cut..]]);
        let frame = parse(&out, &SEAL, Lsn(lsn), Check::Verify);
        prop_assert_eq!(frame, Ok(Frame { kind: 9, payload: &payload, len: out.len() }));
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
        let _ = read(&bytes);
        let _ = parse(&bytes, &SEAL, Lsn(0), Check::Trust);
    }
}
