use super::super::usage::Limits;
use super::*;

const K64: u64 = CHUNK as u64;

fn data_with(bytes: u64) -> (Data, Arc<Usage>) {
    let usage = Arc::new(Usage::new(Limits { bytes, inodes: 1, links: 1 }));
    (Data::new(Arc::clone(&usage)), usage)
}

fn data() -> Data {
    data_with(u64::MAX).0
}

fn read(data: &Data, offset: u64, size: usize) -> Vec<u8> {
    data.read(offset, size, &mut Vec::new()).to_vec()
}

#[test]
fn what_is_written_is_read_across_chunks() {
    let mut data = data();
    let bytes: Vec<u8> = (0..200_000).map(|n| (n % 251) as u8).collect();
    assert_eq!(data.write(60_001, &bytes).unwrap(), bytes.len());
    assert_eq!(data.size(), 260_001);
    assert_eq!(read(&data, 60_001, bytes.len()), bytes);
    assert_eq!(read(&data, 0, 60_001), vec![0; 60_001]);
    assert_eq!(read(&data, 260_000, 100), &bytes[199_999..]);
    assert_eq!(read(&data, 260_001, 100), []);
    assert_eq!(read(&data, u64::MAX, usize::MAX), []);
}

#[test]
fn a_hole_takes_no_room() {
    let mut data = data();
    data.write(1 << 50, b"end").unwrap();
    assert_eq!(data.size(), (1 << 50) + 3);
    assert_eq!(data.blocks(), 8);
    assert_eq!(data.next_data(0), Some(1 << 50));
    assert_eq!(data.next_hole(0), Some(0));
    assert_eq!(data.next_hole(1 << 50), Some((1 << 50) + 3));
    assert_eq!(data.next_data(1 << 51), None);
    assert_eq!(data.next_hole((1 << 50) + 3), None);
}

#[test]
fn a_write_beyond_the_largest_offset_is_too_big() {
    let mut data = data();
    assert_eq!(data.write(MAX_SIZE, b"x"), Err(Errno::EFBIG));
    assert_eq!(data.write(u64::MAX, b"x"), Err(Errno::EFBIG));
    assert_eq!(data.truncate(MAX_SIZE + 1), Err(Errno::EFBIG));
    data.write(MAX_SIZE - 1, b"x").unwrap();
    assert_eq!(read(&data, MAX_SIZE - 2, 9), b"\0x");
    assert_eq!(data.next_hole(MAX_SIZE - 1), Some(MAX_SIZE));
    data.punch(0..u64::MAX);
    assert_eq!(data.blocks(), 0);
}

#[test]
fn what_was_cut_off_does_not_come_back() {
    let (mut data, usage) = data_with(1 << 20);
    data.write(0, &[7; 100_000]).unwrap();
    data.truncate(5000).unwrap();
    assert_eq!(data.blocks(), 16);
    data.truncate(100_000).unwrap();
    assert_eq!(read(&data, 4999, 3), [7, 0, 0]);
    assert_eq!(read(&data, 70_000, 2), [0, 0]);
    data.truncate(0).unwrap();
    assert_eq!((data.blocks(), usage.free_bytes()), (0, 1 << 20));
}

#[test]
fn a_full_filesystem_stores_what_fits_and_then_nothing() {
    let (mut data, usage) = data_with(5 * PAGE);
    assert_eq!(data.write(100, &[1; 100_000]).unwrap() as u64, 5 * PAGE - 100);
    assert_eq!(data.size(), 5 * PAGE);
    assert_eq!(data.write(5 * PAGE, b"x"), Err(Errno::ENOSPC));
    assert_eq!(data.size(), 5 * PAGE);
    assert_eq!(data.write(7, b"in place").unwrap(), 8);
    drop(data);
    assert_eq!(usage.free_bytes(), 5 * PAGE);
}

#[test]
fn punching_gives_back_whole_pages_and_zeroes_the_rest() {
    let mut data = data();
    data.write(0, &[9; 3 * CHUNK]).unwrap();
    data.punch(100..2 * K64 + PAGE + 100);
    assert_eq!(data.size(), 3 * K64);
    // The first page and 15 pages of the last chunk are left.
    assert_eq!(data.blocks(), 16 * 8);
    assert_eq!(read(&data, 99, 2), [9, 0]);
    assert_eq!(read(&data, 2 * K64 + PAGE + 99, 2), [0, 9]);
    assert_eq!(data.next_hole(0), Some(PAGE));
    assert_eq!(data.next_data(PAGE), Some(2 * K64 + PAGE));
    data.punch(200..200);
    data.punch(0..1);
    assert_eq!(read(&data, 0, 2), [0, 9]);
}

#[test]
fn zeroing_keeps_the_room() {
    let mut data = data();
    data.write(0, &[9; CHUNK]).unwrap();
    data.zero(1..K64 - 1);
    assert_eq!(data.blocks(), 128);
    assert_eq!(read(&data, 0, 2), [9, 0]);
    assert_eq!(read(&data, K64 - 2, 2), [0, 9]);
    assert_eq!(data.next_hole(0), Some(K64));
}

#[test]
fn an_allocation_is_all_or_nothing() {
    let (mut data, usage) = data_with(20 * PAGE);
    data.write(PAGE, b"x").unwrap();
    assert_eq!(data.allocate(0..21 * PAGE), Err(Errno::ENOSPC));
    assert_eq!(data.allocate(0..MAX_SIZE), Err(Errno::ENOSPC));
    assert_eq!(data.blocks(), 8);
    data.allocate(0..20 * PAGE).unwrap();
    assert_eq!((data.blocks(), data.size(), usage.free_bytes()), (160, PAGE + 1, 0));
    data.truncate(PAGE + 1).unwrap();
    assert_eq!(data.blocks(), 16);
}

#[test]
fn a_reservation_reads_as_zeros_and_is_data_to_seek() {
    let mut data = data();
    data.allocate(0..3 * K64).unwrap();
    data.extend(3 * K64);
    assert_eq!(read(&data, 0, 3 * CHUNK), vec![0; 3 * CHUNK]);
    assert_eq!(data.next_data(5), Some(5));
    assert_eq!(data.next_hole(5), Some(3 * K64));
}

#[test]
fn a_copy_keeps_holes() {
    let (mut source, mut target) = (data(), data());
    source.write(K64, b"middle").unwrap();
    source.write(1 << 40, b"end").unwrap();
    target.write(0, &[5; 200_000]).unwrap();
    assert_eq!(target.copy(Some(&source), 0, 0, u64::MAX).unwrap(), (1 << 40) + 3);
    assert_eq!(target.size(), source.size());
    assert_eq!(target.blocks(), 16);
    assert_eq!(read(&target, K64, 7), b"middle\0");
    assert_eq!(read(&target, 1 << 40, 9), b"end");
    assert_eq!(target.copy(Some(&source), 2 << 40, 0, 1).unwrap(), 0);
}

#[test]
fn a_copy_within_a_file_works_and_stops_when_full() {
    let (mut data, _) = data_with(3 * PAGE);
    data.write(0, &[3; 2 * PAGE as usize]).unwrap();
    assert_eq!(data.copy(None, 0, 2 * PAGE, 2 * PAGE).unwrap(), PAGE);
    assert_eq!(read(&data, 2 * PAGE, 8192), vec![3; PAGE as usize]);
    assert_eq!(data.copy(None, 0, 3 * PAGE, 1), Err(Errno::ENOSPC));
}

/// Random operations against a plain vector.
#[test]
fn it_behaves_like_a_vector_of_bytes() {
    let (mut data, usage) = data_with(1 << 30);
    let mut model: Vec<u8> = Vec::new();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    for round in 0..3000 {
        let (offset, len) = (random(300_000), random(90_000));
        let (start, end) = (offset as usize, (offset + len) as usize);
        match random(7) {
            0..=2 => {
                let bytes = vec![(round % 255) as u8 + 1; len as usize];
                assert_eq!(data.write(offset, &bytes).unwrap(), bytes.len());
                if !bytes.is_empty() {
                    model.resize(max(model.len(), end), 0);
                    model[start..end].copy_from_slice(&bytes);
                }
            }
            3 => {
                data.truncate(offset).unwrap();
                model.resize(start, 0);
            }
            4 => {
                data.punch(offset..offset + len);
                let len = model.len();
                model[min(start, len)..min(end, len)].fill(0);
            }
            5 => data.allocate(offset..offset + len).unwrap(),
            _ => {
                let to = offset + len + random(1000);
                let copied = data.copy(None, offset, to, len).unwrap() as usize;
                assert_eq!(copied, min(len as usize, model.len().saturating_sub(start)));
                if copied > 0 {
                    let piece = model[start..start + copied].to_vec();
                    let to = to as usize;
                    model.resize(max(model.len(), to + copied), 0);
                    model[to..to + copied].copy_from_slice(&piece);
                }
            }
        }
        assert_eq!(data.size(), model.len() as u64);
        assert_eq!(read(&data, 0, model.len()), model, "round {round}");
        let present: u64 =
            data.chunks.values().map(|chunk| u64::from(chunk.present.count_ones())).sum();
        assert_eq!((present, usage.free_bytes()), (data.pages, (1 << 30) - present * PAGE));
        assert!(data.chunks.values().all(|chunk| chunk.present != 0));
    }
}
