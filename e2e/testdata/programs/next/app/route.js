// A route handler of Next.js.
import { setTimeout as sleep } from 'timers/promises';
export async function GET(request) {
  const id = request.headers.get('x-ledger-id') ?? '';
  await sleep(Number(request.headers.get('x-ledger-first-byte-ms') ?? 0));
  return new Response(`${id}\n`, { headers: { 'X-Ledger-Id': id, 'X-Rondo-Pid': String(process.pid) } });
}
