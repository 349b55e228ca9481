/** The smallest reader of a request's body, without a body parser. */
export function readText(req, then) {
  let text = ''
  req.setEncoding('utf8')
  req.on('data', (chunk) => {
    text += chunk
  })
  req.on('end', () => then(text))
}
