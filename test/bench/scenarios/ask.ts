import { type Figures, Unable } from '../scenario.ts'

/** What a server has measured that measures itself. */
export async function ask(
  { port }: { readonly port: number },
  what: string,
  numbers: Readonly<Record<string, number>>,
): Promise<Figures['values']> {
  const query = new URLSearchParams({ what })
  for (const [name, value] of Object.entries(numbers)) query.set(name, String(value))
  const answer = await fetch(`http://127.0.0.1:${port}/?${query}`)
  if (!answer.ok) throw new Unable(`the server answered ${answer.status}`)
  return (await answer.json()) as Figures['values']
}
