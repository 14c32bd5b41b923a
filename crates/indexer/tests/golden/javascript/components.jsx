import React, { memo, forwardRef } from 'react';

/** A button. */
export const Button = ({ label, onClick }) => (
  <button onClick={() => onClick(label)}>{label}</button>
);

/** Remembers. */
const Remembered = memo(function Inner({ items }) {
  const onClick = React.useCallback(() => {}, []);
  return <ul>{items.map((item) => <li key={item}>{item}</li>)}</ul>;
});

export const Forwarded = React.forwardRef((props, ref) => <input ref={ref} {...props} />);
const Twice = memo(forwardRef(({ a }, ref) => <b>{a}</b>));
const NotOne = connect((state) => state)(Button);

export function Größe({ größe = 1 }) {
  // Nothing of note.
  function 测量() { return <></>; }
  return <p title="größe">{`${測()} ${(() => größe)()}`}</p>;
}

export default memo(() => <Button label="x" />);
