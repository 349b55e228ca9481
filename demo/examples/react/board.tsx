import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { useChannel } from './use-channel.ts'

function Board() {
  const { events, state, gap } = useChannel<{ text: string }>('/channels', 'board')
  return (
    <main>
      <h1>Board</h1>
      <p role="status">{state}</p>
      {gap && <p>Something is missing here.</p>}
      <ul>
        {events.map(({ id, data }) => (
          <li key={id}>{data.text}</li>
        ))}
      </ul>
    </main>
  )
}

createRoot(document.querySelector('#root')!).render(
  <StrictMode>
    <Board />
  </StrictMode>,
)
