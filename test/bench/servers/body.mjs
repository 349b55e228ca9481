/** The least that reads a request's body: what somebody writes who wants no body parser. */
export function readText(req, then) {
  let text = ''
  req.setEncoding('utf8')
  req.on('data', (chunk) => {
    text += chunk
  })
  req.on('end', () => then(text))
}
