//! Frames are read as they were written, and all damage is detected.

use super::*;

fn at() -> FrameAt<'static> {
    FrameAt {
        path: Path::new("run"),
        offset: 40,
    }
}

/// Returns bytes that LZ4 cannot compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn written(bytes: &[u8], records: u32) -> Vec<u8> {
    let mut output = Vec::new();
    let length = FrameWriter::new()
        .write(bytes, records, &mut output)
        .expect("write");
    assert_eq!(length, output.len());
    output
}

fn read(mut stored: &[u8]) -> Result<Option<(Frame, Vec<u8>)>> {
    let mut reader = FrameReader::new();
    let frame = reader.read(&mut stored, at())?;
    Ok(frame.map(|frame| (frame, reader.bytes().to_vec())))
}

#[test]
fn frames_come_back() {
    let text = b"the same words again and again, ".repeat(5000);
    for bytes in [&b""[..], b"x", &text, &noise(100_000), &noise(3 << 20)] {
        let stored = written(bytes, 7);
        let (frame, back) = read(&stored).expect("read").expect("a frame");
        assert_eq!((frame.records, frame.stored_bytes), (7, stored.len()));
        assert_eq!(back, bytes);
    }
    assert!(read(b"").expect("read").is_none());
}

#[test]
fn frames_follow_one_another_in_one_reader() {
    let mut writer = FrameWriter::new();
    let mut stored = Vec::new();
    let pieces = [
        b"ab".repeat(5000),
        noise(70_000),
        b"c".to_vec(),
        b"de".repeat(9000),
    ];
    for piece in &pieces {
        writer.write(piece, 1, &mut stored).expect("write");
    }
    let mut input = stored.as_slice();
    let mut reader = FrameReader::new();
    for piece in &pieces {
        reader
            .read(&mut input, at())
            .expect("read")
            .expect("a frame");
        assert_eq!(reader.bytes(), piece);
    }
    assert!(reader.read(&mut input, at()).expect("read").is_none());
    assert!(reader.bytes().is_empty());
}

#[test]
fn compression_is_used_where_it_pays() {
    let text = b"word ".repeat(4000);
    assert!(written(&text, 1).len() < text.len() / 10);
    let noise = noise(20_000);
    assert_eq!(written(&noise, 1).len(), HEADER_BYTES + noise.len());
}

#[test]
fn compression_is_not_tried_for_a_while_after_it_did_not_pay() {
    let mut backoff = Backoff::default();
    let mut tries = Vec::new();
    for frame in 0..100 {
        if backoff.tries() {
            tries.push(frame);
            backoff.learn(false);
        }
    }
    assert_eq!(tries, [0, 2, 6, 14, 30, 62]);
    while !backoff.tries() {}
    backoff.learn(true);
    assert!(backoff.tries() && backoff.tries());
}

/// Flips each bit, and cuts at each length, of one compressed and one plain frame.
#[test]
fn every_flipped_bit_and_every_cut_is_found() {
    for bytes in [b"again ".repeat(40), noise(300)] {
        let stored = written(&bytes, 3);
        assert!(stored.len() < 600);
        for bit in 0..stored.len() * 8 {
            let mut damaged = stored.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let error = read(&damaged).expect_err("a flipped bit");
            assert!(
                matches!(error.kind(), ErrorKind::CorruptRun { path, offset: 40, .. } if path == Path::new("run")),
                "{error}"
            );
        }
        for length in 1..stored.len() {
            let error = read(&stored[..length]).expect_err("a cut");
            assert!(error.to_string().contains("is cut short"), "{error}");
        }
    }
}

#[test]
fn lengths_are_not_believed_before_they_are_checked() {
    let huge = u32::MAX.to_le_bytes();
    let mut plain = written(&noise(300), 1);
    plain[4..8].copy_from_slice(&huge);
    plain[8..12].copy_from_slice(&huge);
    let mut reader = FrameReader::new();
    reader
        .read(&mut plain.as_slice(), at())
        .expect_err("cut short");
    assert!(reader.memory_bytes() <= READ_STEP_BYTES);

    let mut compressed = written(&b"again ".repeat(40), 1);
    compressed[8..12].copy_from_slice(&2000_u32.to_le_bytes());
    let error = reader
        .read(&mut compressed.as_slice(), at())
        .expect_err("checksum");
    assert!(error.to_string().contains("checksum"), "{error}");
    compressed[8..12].copy_from_slice(&huge);
    let error = reader
        .read(&mut compressed.as_slice(), at())
        .expect_err("lengths");
    assert!(error.to_string().contains("lengths"), "{error}");
    assert!(reader.memory_bytes() <= READ_STEP_BYTES);
}

#[test]
fn a_buffer_for_one_huge_frame_is_released() {
    let huge = written(&b"huge ".repeat(2 << 20), 1);
    let small = written(b"small", 1);
    let mut reader = FrameReader::new();
    reader.read(&mut huge.as_slice(), at()).expect("read");
    assert!(reader.memory_bytes() > 8 << 20);
    for frame in [&small, &written(&b"again ".repeat(40), 1)] {
        reader.read(&mut frame.as_slice(), at()).expect("read");
    }
    assert!(reader.memory_bytes() <= 3 * READ_STEP_BYTES);
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(tail: Vec<u8>, flag in 0..3_u8) {
        let mut bytes = b"hFr".to_vec();
        bytes.push(flag);
        bytes.extend(tail);
        let _ = read(&bytes);
    }

    #[test]
    fn any_bytes_come_back(bytes: Vec<u8>, records: u32) {
        let stored = written(&bytes, records);
        let (frame, back) = read(&stored).unwrap().unwrap();
        proptest::prop_assert_eq!((frame.records, back), (records, bytes));
    }
}
