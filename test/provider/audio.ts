/** Speech and transcription as the practice provider speaks them: sound that is no sound, and a text about the file that came. */
import { createHash } from 'node:crypto';
import { namedSse, tokensOf } from './script.ts';

const soundTypes: Record<string, string> = {
  mp3: 'audio/mpeg',
  opus: 'audio/opus',
  aac: 'audio/aac',
  flac: 'audio/flac',
  wav: 'audio/wav',
  pcm: 'audio/pcm',
};

/** Every byte value is in it, so that anything that takes it for text damages it. */
export function speech(json: Record<string, unknown>): { contentType: string; bytes: Buffer } {
  const bytes = Buffer.alloc(8192, createHash('sha256').update(String(json.input)).digest());
  for (let at = 0; at < 256; at++) bytes[at] = at;
  return { contentType: soundTypes[String(json.response_format ?? 'mp3')] ?? 'audio/mpeg', bytes };
}

export type Upload = { model: string; format: string; stream: boolean; text: string };

/** The fields of a multipart body, and what is "heard" in its file. */
export async function readUpload(raw: Buffer, contentType: string): Promise<Upload> {
  const form = await new Response(Uint8Array.from(raw), {
    headers: { 'content-type': contentType },
  }).formData();
  const file = form.get('file') as File | null;
  const heard = file === null ? Buffer.alloc(0) : Buffer.from(await file.arrayBuffer());
  const digest = createHash('sha256').update(heard).digest('hex').slice(0, 8);
  return {
    model: String(form.get('model') ?? ''),
    format: String(form.get('response_format') ?? 'json'),
    stream: form.get('stream') === 'true',
    text: `${heard.length} bytes of sound from ${file?.name ?? 'nowhere'}, ${digest}`,
  };
}

const usageOf = (text: string) => {
  const out = tokensOf(text).length;
  return {
    type: 'tokens',
    input_tokens: 40,
    input_token_details: { text_tokens: 0, audio_tokens: 40 },
    output_tokens: out,
    total_tokens: 40 + out,
  };
};

export function transcript({ format, text }: Upload): { contentType: string; bytes: Buffer } {
  const plain = format === 'text' || format === 'srt' || format === 'vtt';
  const body = plain ? `${text}\n` : JSON.stringify({ text, usage: usageOf(text) });
  return {
    contentType: plain ? 'text/plain; charset=utf-8' : 'application/json',
    bytes: Buffer.from(body),
  };
}

export const transcriptFrames = ({ text }: Upload): string[] => [
  ...tokensOf(text).map((delta) => namedSse({ type: 'transcript.text.delta', delta })),
  namedSse({ type: 'transcript.text.done', text, usage: usageOf(text) }),
];
