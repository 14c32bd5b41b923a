import { FC, memo } from 'react';

/** Its properties. */
interface Props<T> { items: T[]; render: (item: T) => JSX.Element }

/** Lists items. */
export function List<T,>({ items, render }: Props<T>) {
  const row = (item: T) => <li>{render(item)}</li>;
  return <ul>{items.map(row)}</ul>;
}

export const Typed: FC<Props<string>> = ({ items }) => <b>{items.length}</b>;
export const Kept = memo<Props<number>>(function Kept(props) { return <i>{props.items}</i>; });

export default class App extends React.Component<{}> {
  state = { open: false };
  private toggle = (): void => { this.setState((s) => ({ open: !s.open })); };
  render() { return <List items={[]} render={() => <></>} />; }
}
