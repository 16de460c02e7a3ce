//! How messages are put into calls: as bytes that are protobuf already, and for streams that are open for long and say little.
//!
//! tonic gives each call a buffer of 8 kB at once. Ten thousand streams on which nothing happens would hold 80 MB of them.

use std::marker::PhantomData;

use bytes::{Buf as _, BufMut as _, Bytes};
use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

/// What a stream's buffer begins with; it grows with the messages.
const BEGIN: usize = 512;
/// How much is encoded before it is sent; as tonic's own.
const MOST_UNSENT: usize = 32 << 10;

/// The codec.
#[derive(Debug)]
pub(crate) struct Lean<Req, Resp>(PhantomData<fn() -> (Req, Resp)>);

impl<Req, Resp> Default for Lean<Req, Resp> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<Req, Resp> Codec for Lean<Req, Resp>
where
    Req: Message + 'static,
    Resp: Message + Default + 'static,
{
    type Encode = Req;
    type Decode = Resp;
    type Encoder = ProstEncoder<Req>;
    type Decoder = ProstDecoder<Resp>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<Req, Resp>::raw_encoder(BufferSettings::new(BEGIN, MOST_UNSENT))
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<Req, Resp>::raw_decoder(BufferSettings::new(BEGIN, MOST_UNSENT))
    }
}

/// Messages as the bytes that they are: all methods have the same code then. Tests call services by it too.
#[derive(Clone, Copy, Debug)]
pub struct AsBytes;

impl Codec for AsBytes {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for AsBytes {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(message);
        Ok(())
    }
}

impl Decoder for AsBytes {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
